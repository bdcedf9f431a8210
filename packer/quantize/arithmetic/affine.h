#pragma once

#include <cstddef>
#include <cstdint>

#include "packer/source/tensor.h"
#include "packer/tree/output_tensor.h"

// The arithmetic of every quantizer here: a weight w becomes an unsigned code of `bits` bits
//
//   code = clamp(rint(w / step) + zero_point, lowest, highest)
//
// and a reader of the file gets  dtype((code - zero_point) * scale),  computed in the scale's dtype. Divisions are
// single precision, rint rounds ties to even. The scale is a number of `dtype` and the zero point is a code, so zero
// stays exactly zero. Step and scale are the same unless a coarse step asks for values nearer to zero.
namespace entrofs::packer::quantize::arithmetic {

struct Affine {
  float step = 1;
  float scale = 1;
  uint8_t zero_point = 0;
  uint8_t lowest = 0;
  uint8_t highest = 255;
  friend bool operator==(const Affine&, const Affine&) = default;
};

// The smallest and largest value of some weights, and whether all were finite.
struct ValueRange {
  float lowest = 0;  // at most 0: every range includes zero
  float highest = 0;
  bool finite = true;

  void Include(const float* weights, size_t count);
  void Include(const ValueRange& other);
};

// The codes 0 .. 2^bits - 1 spread over the range (which includes zero): of one-signed weights, all codes go to their
// side of zero.
Affine FitAsymmetric(const ValueRange& range, int bits, source::Dtype dtype);

// Zero at the code 2^(bits - 1). 8 bits use -127..127, 4 bits all sixteen codes.
Affine FitSymmetric(const ValueRange& range, int bits, source::Dtype dtype);

// False when some code would come back infinite (F16 near its limit).
bool IsRepresentable(const Affine& affine, source::Dtype dtype);

void Quantize(const Affine& affine, const float* weights, size_t count, uint8_t* codes);

// values[i] = what a reader makes of codes[i].
void Dequantize(const Affine& affine, source::Dtype dtype, const uint8_t* codes, size_t count, float* values);

// The sum of squares, in an order that depends on count alone.
double Energy(const float* weights, size_t count);

// Signal and noise of `weights` as read back from their codes. The order of summation depends on count alone.
tree::QuantizationError MeasureError(const Affine& affine, source::Dtype dtype, const float* weights,
                                     const uint8_t* codes, size_t count);

}  // namespace entrofs::packer::quantize::arithmetic
