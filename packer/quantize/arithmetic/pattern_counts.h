#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codec/codec.h"
#include "packer/quantize/arithmetic/affine.h"
#include "packer/source/tensor.h"
#include "packer/tree/output_tensor.h"

namespace entrofs::packer::quantize::arithmetic {

// How often each 16-bit pattern occurs among the weights of a BF16 or F16 matrix: enough to tell their range and what
// any parameters for the whole matrix make of them, exactly, without reading them again. Holds 512 KiB.
class PatternCounts {
 public:
  PatternCounts() : counts_(1 << 16) {}

  // Counts `count` elements, little-endian, at any alignment.
  void Add(const uint8_t* encoded, size_t count);
  void Merge(const PatternCounts& other);
  void Clear();

  // The patterns that occur, as numbers in the order of the patterns, and how often they do.
  struct Values {
    std::vector<float> values;
    std::vector<uint64_t> counts;

    ValueRange range() const;
    // What all weights lose to `affine`; adds their codes to `codes`. The order of summation depends on the counts
    // alone. Requires: finite weights.
    tree::QuantizationError Measure(const Affine& affine, source::Dtype dtype, codec::Histogram& codes) const;
  };
  Values ValuesOf(source::Dtype dtype) const;

 private:
  std::vector<uint64_t> counts_;
};

}  // namespace entrofs::packer::quantize::arithmetic
