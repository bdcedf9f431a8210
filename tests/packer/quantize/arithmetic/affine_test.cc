#include "packer/quantize/arithmetic/affine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace entrofs::packer::quantize::arithmetic {
namespace {

TEST(ValueRange, AlwaysIncludesZeroAndFindsExtremesAtEveryPlace) {
  for (size_t count = 1; count < 70; ++count) {
    for (size_t at = 0; at < count; ++at) {
      std::vector<float> weights(count, 0.5f);
      weights[at] = -3;
      ValueRange range;
      range.Include(weights.data(), count);
      EXPECT_EQ(range.lowest, -3);
      EXPECT_EQ(range.highest, count == 1 ? 0 : 0.5f);
      EXPECT_TRUE(range.finite);
      weights[at] = std::numeric_limits<float>::quiet_NaN();
      ValueRange broken;
      broken.Include(weights.data(), count);
      EXPECT_FALSE(broken.finite);
      weights[at] = std::numeric_limits<float>::infinity();
      broken = {};
      broken.Include(weights.data(), count);
      EXPECT_FALSE(broken.finite);
    }
  }
}

TEST(Affine, OneSignedRangesUseEveryCodeOnTheirSideOfZero) {
  EXPECT_EQ(FitAsymmetric({0, 255, true}, 8, source::Dtype::kF32), (Affine{1, 1, 0, 0, 255}));
  EXPECT_EQ(FitAsymmetric({-255, 0, true}, 8, source::Dtype::kF32), (Affine{1, 1, 255, 0, 255}));
  EXPECT_EQ(FitAsymmetric({-5, 10, true}, 4, source::Dtype::kF32), (Affine{1, 1, 5, 0, 15}));
}

TEST(Affine, SymmetricRangesPutZeroInTheMiddle) {
  EXPECT_EQ(FitSymmetric({-127, 3, true}, 8, source::Dtype::kF32), (Affine{1, 1, 128, 1, 255}));
  EXPECT_EQ(FitSymmetric({-1, 7.5, true}, 4, source::Dtype::kF32), (Affine{1, 1, 8, 0, 15}));
}

TEST(Affine, WeightsOutsideTheRangeAreClamped) {
  Affine affine = FitAsymmetric({-1, 1, true}, 8, source::Dtype::kF32);
  const float weights[4] = {-1e30f, 1e30f, -1.01f, 0};
  uint8_t codes[4];
  Quantize(affine, weights, 4, codes);
  EXPECT_EQ(codes[0], 0);
  EXPECT_EQ(codes[1], 255);
  EXPECT_EQ(codes[2], 0);
  EXPECT_EQ(codes[3], affine.zero_point);
}

TEST(Affine, TinyRangesKeepAPositiveScale) {
  Affine affine = FitAsymmetric({0, 1e-7f, true}, 8, source::Dtype::kF16);
  EXPECT_GT(affine.scale, 0);
}

TEST(Affine, MeasuredErrorIsTheSameForAnySplitOfWholeBlocks) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> weights(5000);
  for (float& weight : weights) weight = normal(random);
  ValueRange range;
  range.Include(weights.data(), weights.size());
  Affine affine = FitAsymmetric(range, 4, source::Dtype::kBf16);
  std::vector<uint8_t> codes(weights.size());
  Quantize(affine, weights.data(), weights.size(), codes.data());
  std::vector<float> values(weights.size());
  Dequantize(affine, source::Dtype::kBf16, codes.data(), codes.size(), values.data());
  double noise = 0;
  for (size_t i = 0; i < weights.size(); ++i) noise += std::pow(static_cast<double>(weights[i]) - values[i], 2);
  tree::QuantizationError error =
      MeasureError(affine, source::Dtype::kBf16, weights.data(), codes.data(), weights.size());
  EXPECT_NEAR(error.noise_energy, noise, 1e-10 * noise);
}

}  // namespace
}  // namespace entrofs::packer::quantize::arithmetic
