#include "packer/quantize/arithmetic/value_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "packer/quantize/arithmetic/float_formats.h"

namespace entrofs::packer::quantize::arithmetic {

void ValueHistogram::Counter::Add(const float* weights, size_t count, float factor) {
  constexpr size_t kBlock = 1024;
  float rounded[kBlock];
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t size = std::min(kBlock, count - begin);
    for (size_t i = 0; i < size; ++i) rounded[i] = weights[begin + i] * factor;
    RoundFloats(source::Dtype::kBf16, rounded, size);
    for (size_t i = 0; i < size; ++i) ++counts_[std::bit_cast<uint32_t>(rounded[i]) >> 16];
  }
}

ValueHistogram ValueHistogram::Counter::Finish() {
  ValueHistogram histogram;
  auto add = [&](uint32_t code) {
    float value = std::bit_cast<float>(code << 16);
    if (counts_[code] != 0 && std::isfinite(value)) histogram.entries_.push_back({value, counts_[code]});
  };
  for (uint32_t code = 0xffff; code > 0x8000; --code) add(code);
  // Both zeros are one value.
  if (uint64_t zeros = uint64_t{counts_[0]} + counts_[0x8000]; zeros != 0) histogram.entries_.push_back({0.0f, zeros});
  for (uint32_t code = 1; code < 0x8000; ++code) add(code);
  std::fill(counts_.begin(), counts_.end(), 0);
  return histogram;
}

void ValueHistogram::Merge(const ValueHistogram& other) {
  std::vector<Entry> merged;
  merged.reserve(std::max(entries_.size(), other.entries_.size()));
  auto a = entries_.begin();
  auto b = other.entries_.begin();
  while (a != entries_.end() || b != other.entries_.end()) {
    if (b == other.entries_.end() || (a != entries_.end() && a->value < b->value)) {
      merged.push_back(*a++);
    } else if (a == entries_.end() || b->value < a->value) {
      merged.push_back(*b++);
    } else {
      merged.push_back({a->value, a->count + b->count});
      ++a;
      ++b;
    }
  }
  entries_ = std::move(merged);
}

uint64_t ValueHistogram::weight_count() const {
  uint64_t total = 0;
  for (const Entry& entry : entries_) total += entry.count;
  return total;
}

}  // namespace entrofs::packer::quantize::arithmetic
