#include "base/portable_math.h"

#include <cmath>

namespace entrofs {
namespace {

constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kTwoOverLn2 = 2.8853900817779268147;
constexpr int kLastPower = 21;  // of a number below 0.1716: what is left out is below 1e-17

}  // namespace

double Log2(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);  // exact
  if (mantissa < kSqrtHalf) {
    mantissa *= 2;
    --exponent;
  }
  // ln(m) = 2 artanh((m - 1) / (m + 1)), by operations that IEEE 754 rounds in one way.
  const double t = (mantissa - 1) / (mantissa + 1);
  const double square = t * t;
  double series = 0;
  for (int power = kLastPower; power >= 1; power -= 2) series = series * square + 1.0 / power;
  return exponent + kTwoOverLn2 * (t * series);
}

double Exp2(double x) {
  constexpr double kLn2 = 0.69314718055994530942;
  const double whole = std::floor(x + 0.5);
  const double rest = (x - whole) * kLn2;  // |rest| < 0.35
  double sum = 1;
  for (int i = 14; i >= 1; --i) sum = 1 + rest * sum / i;
  return std::ldexp(sum, static_cast<int>(whole));
}

}  // namespace entrofs
