#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "packer/quantize/forms/form.h"

namespace entrofs::packer::quantize::forms {

// The text of a checkpoint's config.json with a "quantization_config" added that tells the runtime how the
// tensors are written as `tensors`, the plans of all of them, say; every other byte stays as it is. Plans that quantize
// nothing change nothing. Modules whose matrices are not quantized are listed under "ignore", and always lm_head, which
// need not have a tensor. Errors: kInvalidArgument when the text is not a JSON object or already has a
// quantization_config.
Result<std::string> AddQuantizationConfig(std::string_view config_json, std::span<const TensorPlan> tensors);

}  // namespace entrofs::packer::quantize::forms
