#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "archive/format.h"
#include "cache/cache_policy.h"

namespace entrofs::fs {

// A part of one segment.
struct Piece {
  const archive::Extent* extent = nullptr;
  uint64_t segment = 0;      // within the extent
  uint64_t ordinal = 0;      // within the virtual file: neighbours in the file differ by one
  cache::SegmentId id = 0;   // equal for equal stored bytes, wherever they appear
  size_t segment_bytes = 0;  // plain bytes of the whole segment
  uint64_t file_offset = 0;  // of the whole segment
  size_t begin = 0;          // first byte wanted
  size_t size = 0;           // bytes wanted

  bool is_whole() const { return size == segment_bytes; }
};

// Numbers the segments of an archive: extents that share their stored bytes share their numbers.
class SegmentNumbering {
 public:
  // The id of the first segment of `extent`; the others follow.
  cache::SegmentId FirstId(const archive::Extent& extent);

 private:
  struct Known {
    const archive::Extent* extent;
    cache::SegmentId first;
  };
  std::multimap<uint64_t, Known> by_place_;  // by index_archive_offset
  cache::SegmentId next_ = 0;
};

// Which segments make up a virtual file. Immutable. `file` must outlive it.
class FileLayout {
 public:
  FileLayout(const archive::VirtualFile& file, SegmentNumbering& numbering);

  // The pieces that cover [offset, offset + length), in order. Requires: the range lies within the file.
  std::vector<Piece> Cut(uint64_t offset, uint64_t length) const;

  // The whole segment of that ordinal. Requires: ordinal < segment_count().
  Piece WholeSegment(uint64_t ordinal) const;
  uint64_t segment_count() const { return segment_count_; }

 private:
  struct Place {
    const archive::Extent* extent;
    uint64_t offset;         // of its first byte in the file
    uint64_t first_ordinal;  // of its first segment
    cache::SegmentId first_id;
  };
  static Piece MakePiece(const Place& place, uint64_t segment);

  std::vector<Place> places_;  // by offset and ordinal; no empty extents
  uint64_t segment_count_ = 0;
};

}  // namespace entrofs::fs
