#pragma once

#include <optional>
#include <vector>

#include "packer/quantize/arithmetic/matrix.h"
#include "packer/quantize/forms/form.h"
#include "packer/tree/output_tensor.h"
#include "packer/tree/view_tree.h"

namespace entrofs::packer::quantize::forms {

// The bytes of `input` as its quantized values, computed from `outputs`, which LayOut made of `matrix` in this form:
// row by row, in the input's dtype, each rounded once. Marks the outputs it needs as standing alone. None for forms
// that keep codes down the columns (gptq) or no zero points (mlx, unless the scheme is symmetric).
std::optional<tree::ViewPart> ValuesOf(const tree::OutputTensor& input, const Form& form,
                                       const arithmetic::QuantizedMatrix& matrix,
                                       std::vector<tree::OutputTensor>& outputs);

}  // namespace entrofs::packer::quantize::forms
