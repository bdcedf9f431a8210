#pragma once

#include <memory>
#include <vector>

#include "packer/output_tensor.h"
#include "packer/quantize/matrix.h"
#include "packer/quantize/quantize.h"

namespace entrofs::packer::quantize {

// The tensors that stand in for `input` in a file of this layout, the one with the weights first. Their scheme and
// error figures are left for the caller to fill in.
// Requires: matrix->bits() == layout.bits, and runs that are groups, rows or the whole matrix as the layout asks.
std::vector<OutputTensor> LayOut(const OutputTensor& input, const Layout& layout,
                                 std::shared_ptr<const QuantizedMatrix> matrix);

// Of the first of these tensors: how often each byte occurs, given how often each code does among the weights. Null
// when a byte is no single code.
std::shared_ptr<const codec::Histogram> ByteCountsOf(const Layout& layout, const QuantizedMatrix& matrix,
                                                     const codec::Histogram& codes);

}  // namespace entrofs::packer::quantize
