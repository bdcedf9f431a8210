// A segment being decoded: planes are read piece by piece, and each piece is merged while it is in the nearest cache.

#include <algorithm>
#include <cstring>
#include <string>

#include "codec/codec.h"
#include "codec/plane_header.h"
#include "codec/plane_reader.h"
#include "codec/scratch.h"
#include "codec/units.h"

namespace entrofs::codec {
namespace {

Error Corrupt(std::string_view what) { return Error{ErrorCode::kCorrupt, std::string("segment: ").append(what)}; }

// Begins the planes of `count` units and takes their streams from the front of `streams`.
Status OpenPlanes(const Layout& layout, std::span<const PlaneDecoder> planes, const uint8_t* headers, size_t count,
                  Scratch::Impl& scratch, ByteSpan& streams, PlaneReader* readers) {
  for (size_t p = 0; p < planes.size(); ++p) {
    const PlaneHeader header = ReadPlaneHeader(headers + p * kPlaneHeaderBytes);
    if (header.stream_bytes > streams.size()) return Corrupt("plane longer than the segment");
    ENTROFS_RETURN_IF_ERROR(readers[p].Open(planes[p], header.kind, streams.first(header.stream_bytes),
                                            count * PlaneBytesPerUnit(layout, p), scratch.planes[p]));
    streams = streams.subspan(header.stream_bytes);
  }
  return OkStatus();
}

// Fills the only plane of plain bytes.
Status ReadPlain(PlaneReader& reader, MutableByteSpan plain) {
  ENTROFS_ASSIGN_OR_RETURN(const uint8_t* from, reader.Next(plain.size(), plain.data(), nullptr));
  if (from != plain.data()) std::memcpy(plain.data(), from, plain.size());
  return OkStatus();
}

class Merger {
 public:
  Merger(const Layout& layout, std::span<PlaneReader> readers, Scratch::Impl& scratch)
      : layout_(layout), readers_(readers), scratch_(scratch) {}

  // Fills `count` units at `plain`, which is the planes to their ends.
  Status Merge(size_t count, uint8_t* plain) {
    size_t most = kPieceBytes;
    for (const PlaneReader& reader : readers_) most = std::max(most, reader.best_piece_bytes());
    for (size_t p = 0; p < readers_.size(); ++p) {
      Buffer& room = scratch_.planes[p].bytes;
      room.Reserve(PlaneBytes(p, std::min(count, most)));
      room_[p] = room.data();
    }
    for (size_t before = 0; before < count; before += most) {
      const size_t units = std::min(count - before, most);
      ENTROFS_RETURN_IF_ERROR(ReadPieces(units, plain));
      MergeUnits(layout_, pieces_, before, units, plain);
      plain += units * layout_.unit_bytes();
    }
    return OkStatus();
  }

 private:
  size_t PlaneBytes(size_t p, size_t units) const { return units * PlaneBytesPerUnit(layout_, p); }

  // Reads the next piece of every plane; what follows is that `units` are merged to `plain`.
  Status ReadPieces(size_t units, uint8_t* plain) {
    for (size_t p = 0; p < readers_.size(); ++p) {
      if (!readers_[p].asks_ahead()) ENTROFS_RETURN_IF_ERROR(ReadPiece(p, units, nullptr));
    }
    Ahead ahead = PlanAhead(units, plain);
    for (size_t p = 0; p < readers_.size(); ++p) {
      if (readers_[p].asks_ahead()) ENTROFS_RETURN_IF_ERROR(ReadPiece(p, units, &ahead));
    }
    return OkStatus();
  }

  Status ReadPiece(size_t p, size_t units, Ahead* ahead) {
    ENTROFS_ASSIGN_OR_RETURN(pieces_[p], readers_[p].Next(PlaneBytes(p, units), room_[p], ahead));
    return OkStatus();
  }

  // What merging will need that is not in scratch: pieces that lie in the segment, and the output.
  Ahead PlanAhead(size_t units, const uint8_t* plain) const {
    Ahead ahead = {};
    size_t rounds = 0;
    for (size_t p = 0; p < readers_.size(); ++p) {
      if (readers_[p].asks_ahead()) rounds += (PlaneBytes(p, units) + kRoundBytes - 1) / kRoundBytes;
    }
    if (rounds == 0) return ahead;
    auto share = [&](size_t bytes) { return (bytes / rounds + kLineBytes - 1) / kLineBytes * kLineBytes; };
    for (size_t p = 0; p < readers_.size(); ++p) {
      if (readers_[p].is_in_place()) ahead.read[ahead.reads++] = {pieces_[p], share(PlaneBytes(p, units))};
    }
    ahead.write = {plain, share(units * layout_.unit_bytes())};
    return ahead;
  }

  static constexpr size_t kLineBytes = 64;

  const Layout& layout_;
  std::span<PlaneReader> readers_;
  Scratch::Impl& scratch_;
  uint8_t* room_[kMaxPlanes] = {};
  const uint8_t* pieces_[kMaxPlanes] = {};
};

}  // namespace

Status DecodeSegment(const Layout& layout, std::span<const PlaneDecoder> planes, ByteSpan stored, Scratch& scratch,
                     MutableByteSpan plain) {
  if (planes.size() != layout.plane_count()) return Error{ErrorCode::kInvalidArgument, "segment: wrong plane count"};
  if (plain.empty() || plain.size() > kMaxSegmentBytes) return Corrupt("plain size out of range");
  if (stored.size() < planes.size() * kPlaneHeaderBytes) return Corrupt("shorter than its header");
  const size_t count = plain.size() / layout.unit_bytes();
  const size_t leftover = plain.size() % layout.unit_bytes();
  PlaneReader readers[kMaxPlanes];
  ByteSpan rest = stored.subspan(planes.size() * kPlaneHeaderBytes);
  ENTROFS_RETURN_IF_ERROR(OpenPlanes(layout, planes, stored.data(), count, scratch.impl(), rest, readers));
  if (rest.size() != leftover) return Corrupt("bytes left over");
  if (leftover > 0) std::memcpy(plain.data() + plain.size() - leftover, rest.data(), leftover);
  if (IsPlainBytes(layout)) return ReadPlain(readers[0], plain);
  if (layout.trellis) {
    ENTROFS_RETURN_IF_ERROR(ReadPlain(readers[0], plain));
    const uint8_t* indices = plain.data();
    MergeUnits(layout, &indices, 0, count, plain.data());
    return OkStatus();
  }
  return Merger(layout, std::span(readers).first(planes.size()), scratch.impl()).Merge(count, plain.data());
}

}  // namespace entrofs::codec
