#pragma once

#include <cstdint>

namespace entrofs::fs {

// The positions [begin, end) of a file: bytes, or the ordinals of its segments where that is said.
struct Range {
  uint64_t begin = 0;
  uint64_t end = 0;

  uint64_t size() const { return end - begin; }
  bool empty() const { return begin == end; }
  bool Contains(uint64_t position) const { return position >= begin && position < end; }
  bool operator==(const Range&) const = default;
};

}  // namespace entrofs::fs
