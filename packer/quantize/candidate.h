#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "codec/codec.h"
#include "packer/quantize/arithmetic/matrix.h"
#include "packer/quantize/arithmetic/value_histogram.h"
#include "packer/quantize/forms/form.h"

// The two passes over the weights that planning makes. Both read all matrices in pieces, on the pool and the calling
// thread, and give the same result for any number of threads. Errors are those of reading, with the tensor's name.
namespace entrofs::packer::quantize {

// A matrix selected for quantization, on its way from input to outputs.
struct Candidate {
  size_t index = 0;  // among the inputs
  const tree::OutputTensor* input = nullptr;
  arithmetic::QuantizedMatrix::Shape shape;
  // Of calibrated matrices: the mean square of the inputs, and of each of them.
  double importance = 1;
  std::vector<float> moments;

  // Found by the first pass.
  std::vector<arithmetic::ValueRange> ranges;  // one for the matrix, or one per row
  // Only when asked for: of each row, what multiplies its step, and of all weights, divided by their row's factor.
  std::vector<float> row_factors;
  arithmetic::ValueHistogram values;

  // Codes are rounded along a trellis; what RoundOnTrellises learned of it.
  bool follows_trellis = false;
  codec::Histogram expected_indices{};
  double trellis_gain = 1;

  // Set between the passes; null for a matrix that is left as it is.
  std::shared_ptr<const arithmetic::QuantizedMatrix> matrix;
  std::optional<forms::Form> form;

  // Found by the second pass, or by MeasureWholeMatrices.
  tree::QuantizationError error;
  codec::Histogram codes{};  // or of what is stored for them: the indices of the trellis
  bool is_measured = false;  // the codes are counted and the error is known

  // Of the layer's outputs, where inputs are known.
  std::optional<tree::QuantizationError> output_error;

  // Of all rows together.
  arithmetic::ValueRange WholeRange() const;
};

// Reads every matrix of 16-bit floats just once, for a scheme that gives a matrix one set of parameters: fills its
// range, and error and codes as of fit(range) where that is finite.
using FitMatrix = std::function<arithmetic::Affine(const arithmetic::ValueRange& range, source::Dtype dtype)>;
Status MeasureWholeMatrices(const FitMatrix& fit, std::vector<Candidate>& candidates, ThreadPool& pool);

// Fills what the others lack.
struct FirstPass {
  // Whether a matrix gets a range for each row.
  std::function<bool(const Candidate&)> ranges_per_row;
  bool count_values = false;
};
Status FindRanges(const FirstPass& pass, std::vector<Candidate>& candidates, ThreadPool& pool);

// Fills error and codes of every candidate that has a matrix and is not measured. The first 64 Mi codes are kept: their
// matrices then do not compute them again.
Status MeasureErrors(std::vector<Candidate>& candidates, ThreadPool& pool);

// Fills the output errors of candidates with moments, as if inputs were independent of each other.
Status MeasureOutputErrors(std::vector<Candidate>& candidates, ThreadPool& pool);

}  // namespace entrofs::packer::quantize
