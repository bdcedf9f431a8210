#include "packer/report/text_table.h"

#include <algorithm>
#include <cstdio>

namespace entrofs::packer::report {
namespace {

// Characters of UTF-8 text, each taken to be one column wide.
size_t Width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

void TextTable::Print(std::ostream& out) const {
  std::vector<size_t> widths(columns_.size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - Width(row[i]), ' ');
      line += (i > 0 ? "  " : "") + (columns_[i] == Align::kRight ? padding + row[i] : row[i] + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << "\n";
  }
}

std::string Decimal(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

std::string FormatCount(uint64_t count) {
  if (count < 10'000) return std::to_string(count);
  if (count < 1'000'000) return Decimal(static_cast<double>(count) / 1e3, 1) + " K";
  if (count < 1'000'000'000) return Decimal(static_cast<double>(count) / 1e6, 1) + " M";
  return Decimal(static_cast<double>(count) / 1e9, 2) + " G";
}

}  // namespace entrofs::packer::report
