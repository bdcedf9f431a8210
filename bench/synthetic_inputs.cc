// Weights drawn from normal distributions, quantized in the ways models are shipped.

#include <algorithm>
#include <bit>
#include <cmath>

#include "bench/inputs.h"
#include "bench/random.h"

namespace entrofs::bench {
namespace {

constexpr size_t kRowWeights = 4096;
constexpr size_t kGroupWeights = 128;

uint8_t Quantize(double scaled, int zero, int largest) {
  return static_cast<uint8_t>(std::clamp(static_cast<int>(std::lrint(scaled)) + zero, 0, largest));
}

// Calls row(random, out) for each row of `row_bytes` bytes; the last may be cut.
template <typename Row>
std::vector<uint8_t> FillRows(size_t size_bytes, size_t row_bytes, uint64_t seed, Row row) {
  std::vector<uint8_t> plain((size_bytes + row_bytes - 1) / row_bytes * row_bytes);
  Random random(seed);
  for (size_t at = 0; at < plain.size(); at += row_bytes) row(random, plain.data() + at);
  plain.resize(size_bytes);
  return plain;
}

void Int8Row(Random& random, uint8_t* out) {
  double weights[kRowWeights];
  double largest = 0;
  for (double& weight : weights) {
    weight = random.Normal();
    largest = std::max(largest, std::fabs(weight));
  }
  for (size_t i = 0; i < kRowWeights; ++i) out[i] = static_cast<uint8_t>(std::lrint(weights[i] / largest * 127));
}

void Uint8Tensor(Random& random, uint8_t* out) {
  const double sigma = random.RowSigma(10.5, 0.2);
  for (size_t i = 0; i < kRowWeights; ++i) out[i] = Quantize(sigma * random.WithOutliers(8), 125, 255);
}

void Int8Rate4(Random& random, uint8_t* out) {
  const double sigma = random.RowSigma(3.6, 0.15);
  for (size_t i = 0; i < kRowWeights; ++i) out[i] = Quantize(sigma * random.Normal(), 128, 255);
}

void Uint4Tensor(Random& random, uint8_t* out) {
  const double sigma = random.RowSigma(0.565, 0.15);
  for (size_t i = 0; i < kRowWeights / 2; ++i) {
    const uint8_t low = Quantize(sigma * random.WithOutliers(16), 7, 15);
    out[i] = static_cast<uint8_t>(low | Quantize(sigma * random.WithOutliers(16), 7, 15) << 4);
  }
}

void Uint4Group(Random& random, uint8_t* out) {
  double weights[kGroupWeights];
  for (double& weight : weights) weight = random.Normal();
  const auto [least, most] = std::minmax_element(weights, weights + kGroupWeights);
  const double zero = *least, scale = 15 / (*most - *least);
  for (size_t i = 0; i < kGroupWeights / 2; ++i) {
    const uint8_t low = Quantize((weights[2 * i] - zero) * scale, 0, 15);
    out[i] = static_cast<uint8_t>(low | Quantize((weights[2 * i + 1] - zero) * scale, 0, 15) << 4);
  }
}

// The upper half of the float nearest to `value` that has a zero lower half.
uint16_t ToBf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

void Bf16Row(Random& random, uint16_t* out) {
  const double sigma = random.RowSigma(0.02, 0.25);
  for (size_t i = 0; i < kRowWeights; ++i) out[i] = ToBf16(static_cast<float>(sigma * random.Normal()));
}

void Bf16Exponent(Random& random, uint8_t* out) {
  uint16_t row[kRowWeights];
  Bf16Row(random, row);
  for (size_t i = 0; i < kRowWeights; ++i) out[i] = static_cast<uint8_t>(row[i] >> 7);
}

void Bf16Tensor(Random& random, uint8_t* out) {
  uint16_t row[kRowWeights];
  Bf16Row(random, row);
  for (size_t i = 0; i < kRowWeights; ++i) StoreLe(out + 2 * i, row[i]);
}

}  // namespace

std::vector<uint8_t> MakeSynthetic(std::string_view name, size_t size_bytes) {
  if (name == "int8-row") return FillRows(size_bytes, kRowWeights, 1, Int8Row);
  if (name == "uint8-tensor") return FillRows(size_bytes, kRowWeights, 2, Uint8Tensor);
  if (name == "int8-rate4") return FillRows(size_bytes, kRowWeights, 3, Int8Rate4);
  if (name == "uint4-tensor") return FillRows(size_bytes, kRowWeights / 2, 4, Uint4Tensor);
  if (name == "uint4-group") return FillRows(size_bytes, kGroupWeights / 2, 5, Uint4Group);
  if (name == "bf16-exponent") return FillRows(size_bytes, kRowWeights, 6, Bf16Exponent);
  return FillRows(size_bytes, kRowWeights * 2, 6, Bf16Tensor);
}

}  // namespace entrofs::bench
