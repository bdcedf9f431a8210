#pragma once

#include <cstddef>
#include <cstdint>

#include "packer/source/tensor.h"

// The floating-point element types that can be quantized (BF16, F16, F32), to and from float. Every function is exact
// or rounds to nearest, ties to even, and gives the same bits on every CPU.
namespace entrofs::packer::quantize::arithmetic {

// True for BF16, F16 and F32.
bool IsQuantizable(source::Dtype dtype);

// out[i] = element i of `encoded`, which holds count elements of `dtype`, little-endian, at any alignment.
// Requires: IsQuantizable(dtype).
void DecodeFloats(source::Dtype dtype, const uint8_t* encoded, size_t count, float* out);

// Rounds every value to one that `dtype` can hold; too large ones become infinite.
void RoundFloats(source::Dtype dtype, float* values, size_t count);

float RoundFloat(source::Dtype dtype, float value);

// The smallest positive number of `dtype`.
float SmallestPositive(source::Dtype dtype);

// Writes `value`, which `dtype` must be able to hold exactly, in its 2 or 4 bytes at `out`.
void EncodeFloat(source::Dtype dtype, float value, uint8_t* out);

inline size_t ByteWidth(source::Dtype dtype) { return source::BitWidth(dtype) / 8; }

}  // namespace entrofs::packer::quantize::arithmetic
