#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace entrofs::packer::source {

// JSON that a stranger wrote, keys in the order of the text; takes time in proportion to its length. kInvalidArgument
// when it is not JSON or nests more than 127 levels deep: what works on values recurses.
Result<nlohmann::ordered_json> ParseJsonText(std::string_view text);

}  // namespace entrofs::packer::source
