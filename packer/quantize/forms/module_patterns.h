#pragma once

#include <string>
#include <vector>

namespace entrofs::packer::quantize::forms {

// Sets of module names, as the patterns that "targets" and "ignore" of a quantization_config hold:
// re:(?:.*\.)?layers\.\d+\.mlp\.up_proj$. A pattern matches its modules under any prefix, because transformers puts
// model. and language_model. before the names of a checkpoint, or between model. and the rest. One pattern stands for
// all modules that differ in numbers only, when no other set has one of them. A name that
// is the end of a name in another set stands as it is, without a pattern.
std::vector<std::vector<std::string>> ModulePatterns(const std::vector<std::vector<std::string>>& sets);

}  // namespace entrofs::packer::quantize::forms
