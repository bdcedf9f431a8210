#include "fs/file_layout.h"

#include <algorithm>

namespace entrofs::fs {
namespace {

// Whether the same stored bytes give the same plain bytes. A forged index may claim otherwise for one place.
bool SameContent(const archive::Extent& a, const archive::Extent& b) {
  return a.plain_bytes == b.plain_bytes && a.segment_bytes == b.segment_bytes && a.layout == b.layout &&
         a.planes == b.planes;
}

}  // namespace

cache::SegmentId SegmentNumbering::FirstId(const archive::Extent& extent) {
  auto [begin, end] = by_place_.equal_range(extent.index_archive_offset);
  for (auto known = begin; known != end; ++known) {
    if (SameContent(*known->second.extent, extent)) return known->second.first;
  }
  cache::SegmentId first = next_;
  next_ += extent.segment_count();
  by_place_.emplace(extent.index_archive_offset, Known{&extent, first});
  return first;
}

FileLayout::FileLayout(const archive::VirtualFile& file, SegmentNumbering& numbering) {
  uint64_t offset = 0;
  for (const archive::Extent& extent : file.extents) {
    if (extent.plain_bytes == 0) continue;
    places_.push_back(Place{&extent, offset, segment_count_, numbering.FirstId(extent)});
    offset += extent.plain_bytes;
    segment_count_ += extent.segment_count();
  }
}

std::vector<Piece> FileLayout::Cut(uint64_t offset, uint64_t length) const {
  std::vector<Piece> pieces;
  auto place = std::upper_bound(places_.begin(), places_.end(), offset,
                                [](uint64_t at, const Place& p) { return at < p.offset; });
  if (place != places_.begin()) --place;
  while (length > 0 && place != places_.end()) {
    uint64_t within = offset - place->offset;
    Piece piece = MakePiece(*place, within / place->extent->segment_bytes);
    piece.begin = within % place->extent->segment_bytes;
    piece.size = std::min<uint64_t>(piece.segment_bytes - piece.begin, length);
    pieces.push_back(piece);
    offset += piece.size;
    length -= piece.size;
    if (offset - place->offset == place->extent->plain_bytes) ++place;
  }
  return pieces;
}

Piece FileLayout::WholeSegment(uint64_t ordinal) const {
  auto place = std::upper_bound(places_.begin(), places_.end(), ordinal,
                                [](uint64_t at, const Place& p) { return at < p.first_ordinal; });
  --place;
  return MakePiece(*place, ordinal - place->first_ordinal);
}

Piece FileLayout::MakePiece(const Place& place, uint64_t segment) {
  const archive::Extent& extent = *place.extent;
  Piece piece;
  piece.extent = &extent;
  piece.segment = segment;
  piece.ordinal = place.first_ordinal + segment;
  piece.id = place.first_id + segment;
  piece.segment_bytes = std::min<uint64_t>(extent.segment_bytes, extent.plain_bytes - segment * extent.segment_bytes);
  piece.file_offset = place.offset + segment * extent.segment_bytes;
  piece.size = piece.segment_bytes;
  return piece;
}

}  // namespace entrofs::fs
