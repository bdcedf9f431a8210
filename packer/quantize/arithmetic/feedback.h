#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "packer/quantize/arithmetic/affine.h"
#include "packer/source/tensor.h"
#include "packer/tree/output_tensor.h"

namespace entrofs::packer::quantize::arithmetic {

// Rounds the weights of a layer so that its outputs, not its weights, err least: what rounding a column did to the
// outputs is made up for in the columns after it (GPTQ; LDLQ, in the words of QuIP). With H the mean outer product of
// the inputs, the squared error of an output whose weights err by e is e H e'. Of H = U D U', U unit upper triangular,
// that is the sum over columns k of D[k] (e[k] + sum over j < k of e[j] U[j][k])^2, each term of which is made least by
// rounding w[k] plus that inner sum.
//
// The same for any number of threads and on every CPU. Holds columns^2 floats.
class ErrorFeedback {
 public:
  // Factors `hessian` (columns x columns, symmetric, row by row), with a hundredth of its mean diagonal added so that
  // directions that calibration did not see count a little. On `pool` and the calling thread.
  ErrorFeedback(std::vector<float> hessian, uint64_t columns, ThreadPool& pool);

  // Rounds rows of weights with the parameters of each row; adds the errors of their outputs, over signal and noise.
  // Thread-safe. Requires: weights.size() == codes.size() == affines.size() * columns.
  tree::QuantizationError Round(std::span<const float> weights, std::span<const Affine> affines, source::Dtype dtype,
                                std::span<uint8_t> codes) const;

 private:
  const uint64_t columns_;
  std::vector<float> factors_;  // [k][j] = U[j][k] for j < k
  std::vector<float> weights_;  // D
};

}  // namespace entrofs::packer::quantize::arithmetic
