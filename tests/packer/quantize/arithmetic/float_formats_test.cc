#include "packer/quantize/arithmetic/float_formats.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

#include "tests/packer/quantize/reference.h"

namespace entrofs::packer::quantize::arithmetic {
namespace {

class SixteenBits : public testing::TestWithParam<source::Dtype> {};

TEST_P(SixteenBits, EveryCodeDecodesToItsValueAndBack) {
  for (uint32_t code = 0; code < 65536; ++code) {
    uint8_t bytes[2] = {static_cast<uint8_t>(code), static_cast<uint8_t>(code >> 8)};
    float value;
    DecodeFloats(GetParam(), bytes, 1, &value);
    double expected = reference::Decode(GetParam(), code);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << code;
      continue;
    }
    ASSERT_EQ(value, expected) << code;
    uint8_t back[2];
    EncodeFloat(GetParam(), value, back);
    ASSERT_EQ(back[0] | back[1] << 8, static_cast<int>(code));
    ASSERT_EQ(std::bit_cast<uint32_t>(RoundFloat(GetParam(), value)), std::bit_cast<uint32_t>(value)) << code;
  }
}

TEST_P(SixteenBits, RoundsAsLongHandArithmeticDoes) {
  std::mt19937 random(5);
  for (int i = 0; i < 2'000'000; ++i) {
    uint32_t bits = static_cast<uint32_t>(random());
    if (i % 4 == 0) bits &= ~0xffffu;                         // near the codes of BF16
    if (i % 4 == 1) bits = (bits & ~0x1fffu) | 0x1000;        // half way between two codes of F16
    if (i % 4 == 2) bits = (bits & 0x87ffffff) | 0x30000000;  // around the smallest of F16
    float value = std::bit_cast<float>(bits);
    double expected = reference::Round(GetParam(), value);
    float rounded = RoundFloat(GetParam(), value);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(rounded));
    } else {
      ASSERT_EQ(rounded, expected) << value;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Quantize, SixteenBits, testing::Values(source::Dtype::kBf16, source::Dtype::kF16),
                         [](const auto& tested) { return std::string(Name(tested.param)); });

TEST(FloatFormats, F32IsUntouched) {
  float value = 0.1f, decoded;
  uint8_t bytes[4];
  EncodeFloat(source::Dtype::kF32, value, bytes);
  DecodeFloats(source::Dtype::kF32, bytes, 1, &decoded);
  EXPECT_EQ(decoded, value);
  EXPECT_EQ(RoundFloat(source::Dtype::kF32, value), value);
}

}  // namespace
}  // namespace entrofs::packer::quantize::arithmetic
