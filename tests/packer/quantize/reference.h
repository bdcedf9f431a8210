#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "packer/quantize/planner.h"
#include "packer/tree/output_tensor.h"

// A slow reader of quantized tensors and a slow quantizer, in long-hand double arithmetic, that share nothing with the
// code under test: numbers are taken apart with ldexp, not with bit tricks.
namespace entrofs::packer::quantize::reference {

// The value of a BF16, F16 or F32 code.
double Decode(source::Dtype dtype, uint32_t code);
// `value` rounded to the nearest number of `dtype`, ties to even.
double Round(source::Dtype dtype, double value);

std::vector<uint8_t> ReadAll(const tree::OutputTensor& tensor);
std::vector<double> Floats(const tree::OutputTensor& tensor);

// A tensor of random values around zero with some outliers, all of them numbers of `dtype`. `sign` is -1 or 1 for
// values of one sign, 0 for both.
tree::OutputTensor RandomMatrix(const std::string& name, source::Dtype dtype, uint64_t rows, uint64_t columns, int sign,
                                uint32_t seed);
// A tensor of these codes.
tree::OutputTensor MatrixOf(const std::string& name, source::Dtype dtype, std::vector<uint64_t> shape,
                            const std::vector<uint32_t>& codes);

// The dense matrix that a reader of compressed-tensors makes of the outputs that stand for one tensor.
std::vector<double> Dense(const std::vector<tree::OutputTensor>& outputs, const forms::Form& form);

// The dense matrix that quantizing `weights` with these options should stand for.
std::vector<double> QuantizedDense(const std::vector<double>& weights, uint64_t columns, source::Dtype dtype,
                                   const Options& options);

}  // namespace entrofs::packer::quantize::reference
