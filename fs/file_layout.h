#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "cache/cache_policy.h"
#include "view/view_reader.h"

namespace entrofs::fs {

// A part of one segment.
struct Piece {
  const view::ViewExtent* extent = nullptr;
  uint64_t segment = 0;      // within the extent
  uint64_t ordinal = 0;      // within the file: neighbours in the file differ by one
  cache::SegmentId id = 0;   // equal for equal bytes, wherever they appear
  size_t segment_bytes = 0;  // plain bytes of the whole segment
  uint64_t file_offset = 0;  // of the whole segment
  size_t begin = 0;          // first byte wanted
  size_t size = 0;           // bytes wanted

  bool is_whole() const { return size == segment_bytes; }
};

// Numbers the segments of a view: extents that are the same, wherever they appear, share their numbers.
class SegmentNumbering {
 public:
  // The id of the first segment of `extent`; the others follow.
  cache::SegmentId FirstId(const view::ViewExtent& extent);

 private:
  struct Known {
    const view::ViewExtent* extent;
    cache::SegmentId first;
  };
  std::multimap<uint32_t, Known> by_number_;
  cache::SegmentId next_ = 0;
};

// Which segments make up a file. Immutable. `file` must outlive it.
class FileLayout {
 public:
  FileLayout(const view::File& file, SegmentNumbering& numbering);

  // The pieces that cover [offset, offset + length), in order. Requires: the range lies within the file.
  std::vector<Piece> Cut(uint64_t offset, uint64_t length) const;

  // The whole segment of that ordinal. Requires: ordinal < segment_count().
  Piece WholeSegment(uint64_t ordinal) const;
  uint64_t segment_count() const { return segment_count_; }

 private:
  struct Place {
    const view::ViewExtent* extent;
    uint64_t offset;         // of its first byte in the file
    uint64_t first_ordinal;  // of its first segment
    cache::SegmentId first_id;
  };
  static Piece MakePiece(const Place& place, uint64_t segment);

  std::vector<Place> places_;  // by offset and ordinal
  uint64_t segment_count_ = 0;
};

}  // namespace entrofs::fs
