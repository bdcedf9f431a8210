#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

namespace entrofs::packer::report {

// Rows of text in columns as wide as their widest cell.
class TextTable {
 public:
  enum class Align { kLeft, kRight };

  // One alignment per column; rows have at most as many cells.
  explicit TextTable(std::vector<Align> columns) : columns_(std::move(columns)) {}
  void AddRow(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  void Print(std::ostream& out) const;

 private:
  std::vector<Align> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// printf("%.*f").
std::string Decimal(double value, int decimals);

// "9999", "12.3 K", "28.3 M", "8.03 G".
std::string FormatCount(uint64_t count);

}  // namespace entrofs::packer::report
