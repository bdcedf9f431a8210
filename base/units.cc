#include "base/units.h"

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace entrofs {
namespace {

// Three significant digits, never fewer than the integer part has.
std::string ThreeDigits(double value) {
  char text[32];
  int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

std::string Scale(double value, const char* suffix) {
  static constexpr std::array kUnits = {"KB", "MB", "GB", "TB", "PB"};
  size_t unit = 0;
  value /= 1000;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return ThreeDigits(value) + " " + kUnits[unit] + suffix;
}

// The factor a unit stands for, or 0 when there is no such unit.
double UnitFactor(std::string unit) {
  for (char& c : unit) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (unit.empty() || unit == "B") return 1;
  static constexpr std::string_view kPrefixes = "KMGT";
  size_t power = kPrefixes.find(unit[0]);
  if (power == std::string_view::npos) return 0;
  std::string rest = unit.substr(1);
  if (rest.empty() || rest == "IB") return std::pow(1024.0, static_cast<double>(power + 1));
  if (rest == "B") return std::pow(1000.0, static_cast<double>(power + 1));
  return 0;
}

}  // namespace

std::string FormatBytes(uint64_t bytes) {
  if (bytes < 1000) return std::to_string(bytes) + " B";
  return Scale(static_cast<double>(bytes), "");
}

std::string FormatRate(uint64_t bytes, double seconds) {
  if (!(seconds > 0)) return "-";
  return Scale(static_cast<double>(bytes) / seconds, "/s");
}

Result<uint64_t> ParseBytes(std::string_view text) {
  Error bad{ErrorCode::kInvalidArgument,
            "'" + std::string(text) + "' is not a size: write a number and B, K, M, G, T, KB, MB, GB or TB"};
  if (text.empty() || std::isdigit(static_cast<unsigned char>(text[0])) == 0) return bad;
  double number = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (ec != std::errc()) return bad;
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  while (!unit.empty() && unit[0] == ' ') unit.remove_prefix(1);
  double factor = UnitFactor(std::string(unit));
  double bytes = std::floor(number * factor + 0.5);
  if (factor == 0 || !(bytes >= 0) || bytes >= 9.2e18) return bad;
  return static_cast<uint64_t>(bytes);
}

}  // namespace entrofs
