#include "packer/quantize/arithmetic/affine.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>

#include "packer/quantize/arithmetic/float_formats.h"
#include "packer/quantize/arithmetic/vector_clones.h"

namespace entrofs::packer::quantize::arithmetic {
namespace {

constexpr size_t kLanes = 16;
// Values are handled in blocks whose floats stay in the first-level cache.
constexpr size_t kBlock = 1024;

// Adding it to a float of magnitude below 2^22 rounds that to an integer, ties to even.
constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23

float Clamp(float value, float low, float high) {
  value = value > low ? value : low;  // a NaN becomes `low`
  return value < high ? value : high;
}

float FitScale(double range, double steps, source::Dtype dtype) {
  if (range == 0) return 1;
  return std::max(RoundFloat(dtype, static_cast<float>(range / steps)), SmallestPositive(dtype));
}

}  // namespace

ENTROFS_VECTOR_CLONES void ValueRange::Include(const float* weights, size_t count) {
  float low[kLanes], high[kLanes];
  uint32_t magnitude[kLanes] = {};
  std::fill_n(low, kLanes, lowest);
  std::fill_n(high, kLanes, highest);
  size_t whole = count / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      float weight = weights[i + lane];
      low[lane] = weight < low[lane] ? weight : low[lane];
      high[lane] = weight > high[lane] ? weight : high[lane];
      uint32_t bits = std::bit_cast<uint32_t>(weight) & 0x7fffffff;
      magnitude[lane] = bits > magnitude[lane] ? bits : magnitude[lane];
    }
  }
  for (size_t i = whole; i < count; ++i) {
    low[0] = std::min(low[0], weights[i]);
    high[0] = std::max(high[0], weights[i]);
    magnitude[0] = std::max(magnitude[0], std::bit_cast<uint32_t>(weights[i]) & 0x7fffffff);
  }
  lowest = *std::min_element(low, low + kLanes);
  highest = *std::max_element(high, high + kLanes);
  finite = finite && *std::max_element(magnitude, magnitude + kLanes) < 0x7f800000u;
}

void ValueRange::Include(const ValueRange& other) {
  lowest = std::min(lowest, other.lowest);
  highest = std::max(highest, other.highest);
  finite = finite && other.finite;
}

Affine FitAsymmetric(const ValueRange& range, int bits, source::Dtype dtype) {
  const int highest = (1 << bits) - 1;
  Affine affine;
  affine.highest = static_cast<uint8_t>(highest);
  affine.scale = affine.step = FitScale(static_cast<double>(range.highest) - range.lowest, highest, dtype);
  float zero_point = std::nearbyint(-range.lowest / affine.scale);
  affine.zero_point = static_cast<uint8_t>(Clamp(zero_point, 0.0f, static_cast<float>(highest)));
  return affine;
}

Affine FitSymmetric(const ValueRange& range, int bits, source::Dtype dtype) {
  assert(bits == 4 || bits == 8);
  double largest = std::max(-static_cast<double>(range.lowest), static_cast<double>(range.highest));
  Affine affine;
  affine.zero_point = static_cast<uint8_t>(1 << (bits - 1));
  affine.highest = static_cast<uint8_t>((1 << bits) - 1);
  affine.lowest = bits == 8 ? 1 : 0;
  affine.scale = affine.step = FitScale(largest, bits == 8 ? 127.0 : 7.5, dtype);
  return affine;
}

bool IsRepresentable(const Affine& affine, source::Dtype dtype) {
  uint8_t ends[2] = {affine.lowest, affine.highest};
  float values[2];
  Dequantize(affine, dtype, ends, 2, values);
  return std::isfinite(affine.scale) && std::isfinite(values[0]) && std::isfinite(values[1]);
}

ENTROFS_VECTOR_CLONES void Quantize(const Affine& affine, const float* weights, size_t count, uint8_t* codes) {
  const float zero_point = affine.zero_point;
  const float low = affine.lowest - zero_point;
  const float high = affine.highest - zero_point;
  for (size_t i = 0; i < count; ++i) {
    float step = Clamp(weights[i] / affine.step, low, high) + kRounder;
    codes[i] = static_cast<uint8_t>(std::bit_cast<uint32_t>(step + zero_point));
  }
}

ENTROFS_VECTOR_CLONES void Dequantize(const Affine& affine, source::Dtype dtype, const uint8_t* codes, size_t count,
                                      float* values) {
  const int zero_point = affine.zero_point;
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(codes[i] - zero_point) * affine.scale;
  RoundFloats(dtype, values, count);
}

ENTROFS_VECTOR_CLONES double Energy(const float* weights, size_t count) {
  double sums[kLanes] = {};
  const size_t whole = count / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const double weight = weights[i + lane];
      sums[lane] += weight * weight;
    }
  }
  for (size_t i = whole; i < count; ++i) sums[i - whole] += static_cast<double>(weights[i]) * weights[i];
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

ENTROFS_VECTOR_CLONES tree::QuantizationError MeasureError(const Affine& affine, source::Dtype dtype,
                                                           const float* weights, const uint8_t* codes, size_t count) {
  float values[kBlock];
  double signal[kLanes] = {}, noise[kLanes] = {};
  for (size_t begin = 0; begin < count; begin += kBlock) {
    size_t size = std::min(kBlock, count - begin);
    Dequantize(affine, dtype, codes + begin, size, values);
    size_t whole = size / kLanes * kLanes;
    auto add = [&](size_t lane, size_t i) {
      double weight = weights[begin + i];
      double difference = weight - values[i];
      signal[lane] += weight * weight;
      noise[lane] += difference * difference;
    };
    for (size_t i = 0; i < whole; i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) add(lane, i + lane);
    }
    for (size_t i = whole; i < size; ++i) add(i - whole, i);
  }
  tree::QuantizationError error;
  for (size_t lane = 0; lane < kLanes; ++lane) error += {signal[lane], noise[lane]};
  return error;
}

}  // namespace entrofs::packer::quantize::arithmetic
