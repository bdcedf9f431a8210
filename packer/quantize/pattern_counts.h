#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codec/codec.h"
#include "packer/output_tensor.h"
#include "packer/quantize/affine.h"
#include "packer/source/tensor.h"

namespace entrofs::packer::quantize {

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

    Range range() const;
    // What all weights lose to `affine`; adds their codes to `codes`. The order of summation depends on the counts
    // alone. Requires: finite weights.
    QuantizationError Measure(const Affine& affine, Dtype dtype, codec::Histogram& codes) const;
  };
  Values ValuesOf(Dtype dtype) const;

 private:
  std::vector<uint64_t> counts_;
};

}  // namespace entrofs::packer::quantize
