#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace entrofs::packer::quantize::arithmetic {

// How often each value occurs among many weights, the values rounded to BF16: enough to foretell what any step would
// cost and lose without reading the weights again. A few thousand entries for a trained matrix, at most 65280.
class ValueHistogram {
 public:
  struct Entry {
    float value;
    uint64_t count;
  };

  // Adds the counts of `other`.
  void Merge(const ValueHistogram& other);

  // By value, from the lowest.
  const std::vector<Entry>& entries() const { return entries_; }
  uint64_t weight_count() const;

  // Counts up to 2^32 weights piece by piece. Holds 256 KiB.
  class Counter {
   public:
    Counter() : counts_(1 << 16) {}
    // Counts the weights times `factor`. Values that are not finite are left out.
    void Add(const float* weights, size_t count, float factor = 1);
    // What was counted since the last call.
    ValueHistogram Finish();

   private:
    std::vector<uint32_t> counts_;  // by BF16 code
  };

 private:
  std::vector<Entry> entries_;
};

}  // namespace entrofs::packer::quantize::arithmetic
