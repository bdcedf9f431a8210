#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "packer/quantize/forms/form.h"

namespace entrofs::packer::quantize::forms {

// The text of a checkpoint's config.json with a "quantization_config" added that tells the runtime how the tensors are
// written, of which `tensors` are the plans of all; every other byte stays as it is. Plans that quantize nothing change
// nothing. "targets" name the modules that are quantized, "ignore" every other matrix and the heads that may be tied to
// an embedding, all as ModulePatterns writes them. Infinity and NaN in the text stay as they stand.
// Errors: kInvalidArgument when the text is not a JSON object, or says anywhere that the checkpoint is quantized.
Result<std::string> AddQuantizationConfig(std::string_view original, std::span<const TensorPlan> tensors);

}  // namespace entrofs::packer::quantize::forms
