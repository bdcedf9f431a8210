#include "fs/file_layout.h"

#include <algorithm>

namespace entrofs::fs {
namespace {

// Whether extents of one number give the same bytes. A forged index may claim otherwise of one place in the archive.
bool SameContent(const view::ViewExtent& a, const view::ViewExtent& b) {
  if (a.plain_bytes != b.plain_bytes || a.segment_bytes != b.segment_bytes) return false;
  if (a.stored == nullptr || b.stored == nullptr) return a.derived == b.derived;
  return a.stored->layout == b.stored->layout && a.stored->planes == b.stored->planes;
}

}  // namespace

cache::SegmentId SegmentNumbering::FirstId(const view::ViewExtent& extent) {
  auto [begin, end] = by_number_.equal_range(extent.number);
  for (auto known = begin; known != end; ++known) {
    if (SameContent(*known->second.extent, extent)) return known->second.first;
  }
  const cache::SegmentId first = next_;
  next_ += extent.segment_count();
  by_number_.emplace(extent.number, Known{&extent, first});
  return first;
}

FileLayout::FileLayout(const view::File& file, SegmentNumbering& numbering) {
  for (const view::ViewExtent& extent : file.extents) {
    places_.push_back(Place{&extent, extent.file_offset_bytes, segment_count_, numbering.FirstId(extent)});
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
  const view::ViewExtent& extent = *place.extent;
  Piece piece;
  piece.extent = &extent;
  piece.segment = segment;
  piece.ordinal = place.first_ordinal + segment;
  piece.id = place.first_id + segment;
  piece.segment_bytes = extent.SegmentBytes(segment);
  piece.file_offset = place.offset + segment * uint64_t{extent.segment_bytes};
  piece.size = piece.segment_bytes;
  return piece;
}

}  // namespace entrofs::fs
