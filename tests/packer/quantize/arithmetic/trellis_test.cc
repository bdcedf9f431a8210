#include "packer/quantize/arithmetic/trellis.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace entrofs::packer::quantize::arithmetic {
namespace {

std::vector<float> BellCurve(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> weights(count);
  for (float& weight : weights) weight = normal(random);
  return weights;
}

std::vector<uint16_t> PositionsOf(const std::vector<float>& weights, float scale) {
  std::vector<uint16_t> positions(weights.size());
  FindPositions(scale, weights.data(), weights.size(), positions.data());
  return positions;
}

std::vector<uint8_t> Round(const TrellisQuantizer& quantizer, const std::vector<uint16_t>& positions,
                           bool comes_back = false) {
  std::vector<uint8_t> codes(positions.size());
  TrellisQuantizer::Scratch scratch;
  quantizer.Round(positions, comes_back, codes.data(), scratch);
  return codes;
}

codec::Histogram IndicesOf(const std::vector<uint8_t>& codes) {
  codec::Histogram indices{};
  CountIndices(codes, indices);
  return indices;
}

// Indices of codes that leave the path are 128 and more.
uint64_t CountOffPath(const std::vector<uint8_t>& codes) {
  const codec::Histogram indices = IndicesOf(codes);
  uint64_t count = 0;
  for (size_t index = 128; index < indices.size(); ++index) count += indices[index];
  return count;
}

double SquaredError(const std::vector<uint16_t>& positions, const std::vector<uint8_t>& codes) {
  double sum = 0;
  for (size_t i = 0; i < codes.size(); ++i) {
    const double difference = static_cast<double>(positions[i]) / kPositionsPerCode - codes[i];
    sum += difference * difference;
  }
  return sum;
}

// By trying every choice of the second lowest bit, the lowest being given by the bits before.
double LeastError(const std::vector<uint16_t>& positions) {
  const size_t count = positions.size();
  double least = std::numeric_limits<double>::infinity();
  for (unsigned choices = 0; choices < 1u << count; ++choices) {
    std::vector<unsigned> b(6), c(6);
    std::vector<uint8_t> codes;
    for (size_t i = 0; i < count; ++i) {
      const size_t t = i + 6;
      b.push_back(b[t - 1] ^ b[t - 6] ^ c[t - 2] ^ c[t - 4]);
      c.push_back(choices >> i & 1);
      const unsigned low = 2 * c[t] + b[t];
      const double steps = static_cast<double>(positions[i]) / kPositionsPerCode - low;
      codes.push_back(static_cast<uint8_t>(4 * std::lround(steps / 4) + low));
    }
    least = std::min(least, SquaredError(positions, codes));
  }
  return least;
}

TEST(Trellis, CodesFollowThePathAtEveryLength) {
  const TrellisQuantizer quantizer(codec::Histogram{});
  for (size_t count = 0; count < 300; ++count) {
    EXPECT_EQ(CountOffPath(Round(quantizer, PositionsOf(BellCurve(count, 1), 0.1f))), 0u) << count;
  }
}

TEST(Trellis, WhatComesBackMayBeFollowedByMore) {
  const TrellisQuantizer quantizer(codec::Histogram{});
  std::vector<uint8_t> all;
  for (size_t count = TrellisQuantizer::kLeastComingBack; count < 100; ++count) {
    const std::vector<uint8_t> codes = Round(quantizer, PositionsOf(BellCurve(count, 2), 0.1f), true);
    all.insert(all.end(), codes.begin(), codes.end());
  }
  EXPECT_EQ(CountOffPath(all), 0u);
}

TEST(Trellis, FindsThePathOfLeastError) {
  // Nothing known of indices: all cost the same.
  const TrellisQuantizer quantizer(codec::Histogram{});
  for (unsigned seed = 0; seed < 20; ++seed) {
    const std::vector<uint16_t> positions = PositionsOf(BellCurve(12, seed), 0.2f);
    const double error = SquaredError(positions, Round(quantizer, positions));
    // Costs are kept to 1/128.
    EXPECT_NEAR(error, LeastError(positions), 12.0 / 128) << seed;
  }
}

TEST(Trellis, SavesMoreThanADecibelAtEqualBits) {
  const std::vector<float> weights = BellCurve(40'000, 3);
  for (const double bits : {2.0, 3.0, 4.0}) {
    const double step = std::exp2(2.05 - bits);
    std::vector<uint8_t> plain;
    double plain_error = 0;
    for (float weight : weights) {
      const double code = std::nearbyint(weight / step);
      plain.push_back(static_cast<uint8_t>(64 + static_cast<int>(code)));
      plain_error += (weight - step * code) * (weight - step * code);
    }
    codec::Histogram expected{};
    codec::CountBytes(plain, expected);
    const auto scale = static_cast<float>(step / 2);
    const std::vector<uint16_t> positions = PositionsOf(weights, scale);
    const std::vector<uint8_t> codes = Round(TrellisQuantizer(expected), positions);
    const double saved_bits = codec::EntropyBits(expected) - codec::EntropyBits(IndicesOf(codes));
    const double error = SquaredError(positions, codes) * scale * scale;
    const double gain_db = 10 * std::log10(plain_error / error) + 6.02 * saved_bits / static_cast<double>(codes.size());
    EXPECT_GT(gain_db, 1.2) << bits;
  }
}

TEST(Trellis, FarWeightsGetTheLastCodesAndStayOnThePath) {
  const std::vector<float> weights = {-1e30f, 1e30f, -1000, 1000, 126.7f, -126.7f, 0, 125.2f, 3e-40f, 127, -127, 64};
  const std::vector<uint8_t> codes = Round(TrellisQuantizer(codec::Histogram{}), PositionsOf(weights, 1));
  EXPECT_EQ(CountOffPath(codes), 0u);
  for (size_t i = 0; i < codes.size(); ++i) {
    EXPECT_GE(codes[i], 1);
    EXPECT_NEAR(codes[i] - 128, std::clamp(weights[i], -127.0f, 127.0f), 3.1) << i;
  }
}

}  // namespace
}  // namespace entrofs::packer::quantize::arithmetic
