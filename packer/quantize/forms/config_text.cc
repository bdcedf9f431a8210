#include "packer/quantize/forms/config_text.h"

#include <algorithm>
#include <array>

namespace entrofs::packer::quantize::forms {
namespace {

constexpr std::array<std::string_view, 3> kNotFinite = {"-Infinity", "Infinity", "NaN"};
constexpr std::array<std::string_view, 2> kMembers = {"\"quantization_config\"", "\"quantization\""};
constexpr std::string_view kSpace = " \t\r\n";

// Behind the string that starts at `at`.
size_t EndOfString(std::string_view text, size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(at + 1, text.size());
}

size_t SkipSpace(std::string_view text, size_t at) { return std::min(text.find_first_not_of(kSpace, at), text.size()); }

// Behind the null or {} that follows the key that ends at `at`, or 0 when something else does.
size_t EndOfEmptyValue(std::string_view text, size_t at) {
  at = SkipSpace(text, at);
  if (!text.substr(at).starts_with(':')) return 0;
  at = SkipSpace(text, at + 1);
  if (text.substr(at).starts_with("null")) return at + 4;
  if (!text.substr(at).starts_with('{')) return 0;
  at = SkipSpace(text, at + 1);
  return text.substr(at).starts_with('}') ? at + 1 : 0;
}

}  // namespace

std::string WithFiniteNumbers(std::string_view text) {
  std::string finite;
  for (size_t i = 0; i < text.size();) {
    size_t end = text[i] == '"' ? EndOfString(text, i) : i + 1;
    std::string_view piece = text.substr(i, end - i);
    for (std::string_view word : kNotFinite) {
      if (!text.substr(i).starts_with(word)) continue;
      piece = "0";
      end = i + word.size();
      break;
    }
    finite += piece;
    i = end;
  }
  return finite;
}

bool SaysQuantized(const nlohmann::ordered_json& config) {
  if (!config.is_object()) return false;
  for (const char* key : {"quantization_config", "quantization"}) {
    auto found = config.find(key);
    if (found != config.end() && !found->empty()) return true;
  }
  return std::any_of(config.begin(), config.end(), SaysQuantized);
}

std::string WithoutEmptyQuantization(std::string_view text) {
  std::string kept;
  size_t depth = 0;
  for (size_t i = 0; i < text.size();) {
    size_t end = i + 1;
    if (text[i] == '{' || text[i] == '[') ++depth;
    if (text[i] == '}' || text[i] == ']') --depth;
    if (text[i] == '"') {
      end = EndOfString(text, i);
      const bool is_member = std::find(kMembers.begin(), kMembers.end(), text.substr(i, end - i)) != kMembers.end();
      const size_t value_end = depth == 1 && is_member ? EndOfEmptyValue(text, end) : 0;
      if (value_end != 0) {
        // With it goes the comma behind it, or else the one before.
        i = SkipSpace(text, value_end);
        const size_t last = kept.find_last_not_of(kSpace);
        if (text.substr(i).starts_with(',')) {
          i = SkipSpace(text, i + 1);
        } else if (last != std::string::npos && kept[last] == ',') {
          kept.resize(last);
        }
        continue;
      }
    }
    kept += text.substr(i, end - i);
    i = end;
  }
  return kept;
}

}  // namespace entrofs::packer::quantize::forms
