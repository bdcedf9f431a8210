#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

// The text of a config.json as Python writes it, which is not always JSON.
namespace entrofs::packer::quantize::forms {

// `text` with 0 in place of NaN, Infinity and -Infinity outside strings, to be parsed.
std::string WithFiniteNumbers(std::string_view text);

// True when the object, or an object within it, has a member quantization_config or quantization that is neither null
// nor empty.
bool SaysQuantized(const nlohmann::ordered_json& config);

// The text of an object without the members quantization_config and quantization of it that are null or empty.
std::string WithoutEmptyQuantization(std::string_view text);

}  // namespace entrofs::packer::quantize::forms
