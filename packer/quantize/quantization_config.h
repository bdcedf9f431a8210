#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "packer/quantize/quantize.h"

namespace entrofs::packer::quantize {

// The text of a checkpoint's config.json with a "quantization_config" added that tells the runtime how the
// tensors of `plan` are written; every other byte stays as it is. A plan that quantizes nothing changes nothing.
// Modules whose matrices are not quantized are listed under "ignore", and always lm_head, which need not have a tensor.
// Errors: kInvalidArgument when the text is not a JSON object or already has a quantization_config.
Result<std::string> AddQuantizationConfig(std::string_view config_json, const Plan& plan);

}  // namespace entrofs::packer::quantize
