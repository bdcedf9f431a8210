#pragma once

#include <stdint.h>
#include <string.h>

// Floating-point formats by their bits. No operation here depends on what the thread has set for rounding or denormals,
// but for products of doubles that are not exact.
namespace entrofs::view {
namespace {

struct FloatFormat {
  int mantissa_bits;
  int exponent_bits;
};
constexpr FloatFormat kBf16Format = {7, 8};
constexpr FloatFormat kF16Format = {10, 5};
constexpr FloatFormat kF32Format = {23, 8};

inline double DoubleOfBits(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

inline uint64_t BitsOfDouble(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// Exact; NaN stays a NaN.
inline double WidenFloat(FloatFormat format, uint32_t bits) {
  const int m = format.mantissa_bits, bias = (1 << (format.exponent_bits - 1)) - 1;
  const int top_exponent = (1 << format.exponent_bits) - 1;
  const uint64_t sign = static_cast<uint64_t>(bits >> (m + format.exponent_bits)) << 63;
  int exponent = static_cast<int>(bits >> m) & top_exponent;
  uint64_t mantissa = bits & ((uint32_t{1} << m) - 1);
  if (exponent == top_exponent) return DoubleOfBits(sign | uint64_t{0x7ff} << 52 | mantissa << (52 - m));
  if (exponent == 0) {
    if (mantissa == 0) return DoubleOfBits(sign);
    exponent = 1;
    while (mantissa >> m == 0) {
      mantissa <<= 1;
      --exponent;
    }
    mantissa &= (uint64_t{1} << m) - 1;
  }
  return DoubleOfBits(sign | static_cast<uint64_t>(exponent - bias + 1023) << 52 | mantissa << (52 - m));
}

// Rounds to nearest, ties to even. A NaN becomes the positive quiet one. Requires: `value` is no denormal double.
inline uint32_t RoundToFloat(FloatFormat format, double value) {
  const int m = format.mantissa_bits, bias = (1 << (format.exponent_bits - 1)) - 1;
  const int top_exponent = (1 << format.exponent_bits) - 1;
  const uint64_t bits = BitsOfDouble(value);
  const uint32_t sign = static_cast<uint32_t>(bits >> 63) << (m + format.exponent_bits);
  const int double_exponent = static_cast<int>(bits >> 52) & 0x7ff;
  uint64_t mantissa = bits & ((uint64_t{1} << 52) - 1);
  if (double_exponent == 0x7ff) {
    const uint32_t top = static_cast<uint32_t>(top_exponent) << m;
    return mantissa == 0 ? sign | top : top | uint32_t{1} << (m - 1);
  }
  if (double_exponent == 0) return sign;
  int exponent = double_exponent - 1023 + bias;
  int dropped = 52 - m;
  if (exponent <= 0) {  // a denormal number, or what rounds to the smallest normal one
    dropped += 1 - exponent;
    mantissa |= uint64_t{1} << 52;
    exponent = 0;
    if (dropped > 54) return sign;
  } else if (exponent >= top_exponent) {
    return sign | static_cast<uint32_t>(top_exponent) << m;
  }
  const uint64_t kept = mantissa >> dropped;
  const uint64_t rest = mantissa & ((uint64_t{1} << dropped) - 1), half = uint64_t{1} << (dropped - 1);
  const bool up = rest > half || (rest == half && (kept & 1) != 0);
  // A carry out of the mantissa goes to the exponent, as it should.
  return sign | ((static_cast<uint32_t>(exponent) << m) + static_cast<uint32_t>(kept) + (up ? 1 : 0));
}

}  // namespace
}  // namespace entrofs::view
