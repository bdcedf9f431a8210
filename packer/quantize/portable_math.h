#pragma once

#include <cmath>

// Logarithm and power to the base 2 from additions, multiplications and divisions alone: the C library's give last bits
// that depend on the CPU, which would show in the choice of a step and so in every byte of an archive.
namespace entrofs::packer::quantize {

// Requires: value > 0, finite. Good to 1e-14.
inline double Log2(double value) {
  constexpr double kSqrtHalf = 0.70710678118654752440;
  constexpr double kTwoOverLn2 = 2.88539008177792681472;
  int exponent;
  double mantissa = std::frexp(value, &exponent);
  if (mantissa < kSqrtHalf) {
    mantissa *= 2;
    --exponent;
  }
  // ln(m) = 2 atanh((m - 1) / (m + 1)), of which |t| < 0.172.
  const double t = (mantissa - 1) / (mantissa + 1);
  const double square = t * t;
  double sum = 0;
  for (int i = 19; i >= 1; i -= 2) sum = sum * square + 1.0 / i;
  return exponent + kTwoOverLn2 * t * sum;
}

// Requires: |value| < 1000. Good to a relative 1e-14.
inline double Exp2(double value) {
  constexpr double kLn2 = 0.69314718055994530942;
  const double whole = std::floor(value + 0.5);
  const double x = (value - whole) * kLn2;  // |x| < 0.35
  double sum = 1;
  for (int i = 14; i >= 1; --i) sum = 1 + x * sum / i;
  return std::ldexp(sum, static_cast<int>(whole));
}

}  // namespace entrofs::packer::quantize
