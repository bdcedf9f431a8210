#include "packer/json_text.h"

namespace entrofs::packer {
namespace {

constexpr size_t kMaxNesting = 127;

// Brackets that are open at once, those in strings left out. Right for valid JSON, which is all that matters.
size_t DeepestNesting(std::string_view text) {
  size_t depth = 0;
  size_t deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Result<nlohmann::ordered_json> ParseJsonText(std::string_view text) {
  if (DeepestNesting(text) > kMaxNesting) {
    return Error{ErrorCode::kInvalidArgument, "nests more than " + std::to_string(kMaxNesting) + " levels deep"};
  }
  // The parser would take a NUL for the end of the text.
  if (text.find('\0') != std::string_view::npos) return Error{ErrorCode::kInvalidArgument, "not a JSON object"};
  auto json = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Error{ErrorCode::kInvalidArgument, "not a JSON object"};
  return json;
}

}  // namespace entrofs::packer
