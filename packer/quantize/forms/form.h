#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "codec/codec.h"
#include "packer/quantize/arithmetic/matrix.h"
#include "packer/tree/output_tensor.h"
#include "packer/tree/view_tree.h"

// How quantized matrices are written for the runtimes that read them.
namespace entrofs::packer::quantize::forms {

// The way a matrix is written: what a config group says of its weights.
struct Form {
  enum class Format {
    kNaive,   // `weight` I8, one scale and zero point
    kPacked,  // `weight_packed` I32
    kMlx,     // `weight` U32, `scales`, `biases`
    kGptq,    // `qweight` I32 [in, out], `qzeros`, `scales`, `g_idx`
  };
  Format format = Format::kPacked;
  int bits = 8;
  bool symmetric = true;
  uint64_t group_size = 0;  // weights per scale, 0 for a whole row
  friend auto operator<=>(const Form&, const Form&) = default;
};

struct TensorPlan {
  // What stands in for the input tensor, the one with the weights first. The input itself when it is kept.
  std::vector<tree::OutputTensor> outputs;
  // Set when the tensor was quantized.
  std::optional<Form> form;
  // What shows the values that the outputs stand for in the input's place; none where a view cannot compute them, or
  // nothing was quantized.
  std::optional<tree::ViewPart> values = std::nullopt;
};

// The tensors that stand in for `input` in a file of this form, the one with the weights first. Their scheme and
// error figures are left for the caller to fill in.
// Requires: matrix->bits() == form.bits, and runs that are groups, rows or the whole matrix as the form asks.
std::vector<tree::OutputTensor> LayOut(const tree::OutputTensor& input, const Form& form,
                                       std::shared_ptr<const arithmetic::QuantizedMatrix> matrix);

// Of the first of these tensors: how often each byte occurs, given how often each code does among the weights. Null
// when a byte is no single code.
std::shared_ptr<const codec::Histogram> ByteCountsOf(const Form& form, const arithmetic::QuantizedMatrix& matrix,
                                                     const codec::Histogram& codes);

}  // namespace entrofs::packer::quantize::forms
