#include "packer/quantize/arithmetic/pattern_counts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/bytes.h"
#include "packer/quantize/arithmetic/float_formats.h"

namespace entrofs::packer::quantize::arithmetic {
namespace {

class PatternCountsTest : public testing::TestWithParam<source::Dtype> {
 protected:
  // `count` weights, their bytes one after another.
  std::vector<uint8_t> Weights(size_t count) {
    std::normal_distribution<float> normal(0.01f, 0.05f);
    std::vector<uint8_t> bytes(2 * count);
    for (size_t i = 0; i < count; ++i) {
      EncodeFloat(GetParam(), RoundFloat(GetParam(), normal(random_)), bytes.data() + 2 * i);
    }
    return bytes;
  }
  std::vector<float> Decoded(const std::vector<uint8_t>& bytes) {
    std::vector<float> weights(bytes.size() / 2);
    DecodeFloats(GetParam(), bytes.data(), weights.size(), weights.data());
    return weights;
  }

  std::mt19937 random_{7};
};

TEST_P(PatternCountsTest, TellWhatReadingTheWeightsTells) {
  for (size_t count : {1, 3, 4, 1001, 50'000}) {
    const std::vector<uint8_t> bytes = Weights(count);
    const std::vector<float> weights = Decoded(bytes);
    ValueRange range;
    range.Include(weights.data(), count);
    const Affine affine = FitAsymmetric(range, 8, GetParam());
    std::vector<uint8_t> codes(count);
    Quantize(affine, weights.data(), count, codes.data());
    codec::Histogram expected{};
    codec::CountBytes(codes, expected);
    const tree::QuantizationError error = MeasureError(affine, GetParam(), weights.data(), codes.data(), count);

    PatternCounts halves[2];
    const size_t first = count / 3;
    halves[0].Add(bytes.data(), first);
    halves[1].Add(bytes.data() + 2 * first, count - first);
    halves[0].Merge(halves[1]);
    const PatternCounts::Values values = halves[0].ValuesOf(GetParam());
    EXPECT_EQ(values.range().lowest, range.lowest);
    EXPECT_EQ(values.range().highest, range.highest);
    codec::Histogram counted{};
    const tree::QuantizationError told = values.Measure(affine, GetParam(), counted);
    EXPECT_EQ(counted, expected);
    EXPECT_NEAR(told.signal_energy, error.signal_energy, 1e-9 * error.signal_energy);
    EXPECT_NEAR(told.noise_energy, error.noise_energy, 1e-9 * error.noise_energy);
  }
}

TEST_P(PatternCountsTest, SeeThatWeightsAreNotFinite) {
  std::vector<uint8_t> bytes = Weights(10);
  PatternCounts counts;
  counts.Add(bytes.data(), 10);
  EXPECT_TRUE(counts.ValuesOf(GetParam()).range().finite);
  for (uint16_t pattern : {0xffff, 0x7f80, 0x7c00}) {
    StoreLe(bytes.data(), pattern);
    const bool is_finite = std::isfinite(Decoded(bytes)[0]);
    counts.Clear();
    counts.Add(bytes.data(), 10);
    EXPECT_EQ(counts.ValuesOf(GetParam()).range().finite, is_finite);
  }
}

INSTANTIATE_TEST_SUITE_P(Floats, PatternCountsTest, testing::Values(source::Dtype::kBf16, source::Dtype::kF16),
                         [](const auto& p) { return std::string(Name(p.param)); });

}  // namespace
}  // namespace entrofs::packer::quantize::arithmetic
