#include "packer/quantize/arithmetic/pattern_counts.h"

#include <algorithm>
#include <cassert>

#include "base/bytes.h"
#include "packer/quantize/arithmetic/float_formats.h"

namespace entrofs::packer::quantize::arithmetic {

void PatternCounts::Add(const uint8_t* encoded, size_t count) {
  uint64_t* const counts = counts_.data();
  const size_t whole = count / 4 * 4;
  for (size_t i = 0; i < whole; i += 4) {
    const auto four = LoadLe<uint64_t>(encoded + 2 * i);
    ++counts[four & 0xffff];
    ++counts[four >> 16 & 0xffff];
    ++counts[four >> 32 & 0xffff];
    ++counts[four >> 48];
  }
  for (size_t i = whole; i < count; ++i) ++counts[LoadLe<uint16_t>(encoded + 2 * i)];
}

void PatternCounts::Merge(const PatternCounts& other) {
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
}

void PatternCounts::Clear() { std::fill(counts_.begin(), counts_.end(), 0); }

PatternCounts::Values PatternCounts::ValuesOf(source::Dtype dtype) const {
  assert(ByteWidth(dtype) == 2);
  Values found;
  std::vector<uint8_t> patterns;
  constexpr size_t kBlock = 16;  // most blocks are empty
  for (size_t block = 0; block < counts_.size(); block += kBlock) {
    uint64_t any = 0;
    for (size_t i = 0; i < kBlock; ++i) any |= counts_[block + i];
    if (any == 0) continue;
    for (size_t pattern = block; pattern < block + kBlock; ++pattern) {
      if (counts_[pattern] == 0) continue;
      patterns.push_back(static_cast<uint8_t>(pattern));
      patterns.push_back(static_cast<uint8_t>(pattern >> 8));
      found.counts.push_back(counts_[pattern]);
    }
  }
  found.values.resize(found.counts.size());
  DecodeFloats(dtype, patterns.data(), found.values.size(), found.values.data());
  return found;
}

ValueRange PatternCounts::Values::range() const {
  ValueRange range;
  range.Include(values.data(), values.size());
  return range;
}

tree::QuantizationError PatternCounts::Values::Measure(const Affine& affine, source::Dtype dtype,
                                                       codec::Histogram& codes) const {
  std::vector<uint8_t> quantized(values.size());
  std::vector<float> read_back(values.size());
  Quantize(affine, values.data(), values.size(), quantized.data());
  Dequantize(affine, dtype, quantized.data(), values.size(), read_back.data());
  tree::QuantizationError error;
  for (size_t i = 0; i < values.size(); ++i) {
    const double weight = values[i], difference = weight - read_back[i];
    const auto count = static_cast<double>(counts[i]);
    error += {count * weight * weight, count * difference * difference};
    codes[quantized[i]] += counts[i];
  }
  return error;
}

}  // namespace entrofs::packer::quantize::arithmetic
