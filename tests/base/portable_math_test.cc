// Logarithms are right, and the same to the last bit everywhere.

#include "base/portable_math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>

namespace entrofs {
namespace {

TEST(Log2, IsExactForPowersOfTwo) {
  for (int exponent = -300; exponent <= 300; ++exponent) EXPECT_EQ(Log2(std::ldexp(1.0, exponent)), exponent);
}

TEST(Log2, IsWithinFourUnitsOfTheLastPlace) {
  for (uint64_t i = 1; i < 200'000; ++i) {
    const double x = static_cast<double>(i * i) / 977;
    const double expected = std::log2(x);
    ASSERT_NEAR(Log2(x), expected, 4 * 2.3e-16 * std::max(1.0, std::abs(expected))) << x;
  }
}

TEST(Log2, HasTheseBits) {
  uint64_t sum = 0;
  for (uint64_t i = 1; i < 10'000; ++i) sum = sum * 31 + std::bit_cast<uint64_t>(Log2(static_cast<double>(i * 7)));
  EXPECT_EQ(sum, 16501822934134749363u);
}

}  // namespace
}  // namespace entrofs
