#pragma once

#include "codec/codec.h"
#include "codec/huffman.h"
#include "codec/scratch.h"
#include "codec/tans.h"

namespace entrofs::codec {

// Every piece of a plane but its last has a multiple of this many bytes: whole rounds of tans, whole chunks of huffman.
inline constexpr size_t kPieceBytes = 4096;

// One plane of a segment, of any kind, decoded piece by piece.
class PlaneReader {
 public:
  // Begins a plane of `plane_bytes`. `stream` is untrusted; after it kReadSlackBytes are readable. Everything given
  // must stay as it is while the plane is read.
  Status Open(const PlaneDecoder& decoder, CodecKind kind, ByteSpan stream, size_t plane_bytes, PlaneScratch& scratch);

  // The next `bytes` of the plane, which lie in `room`, or elsewhere until the next call. kCorrupt when the stream is
  // broken or, with the last piece, not used up. Requires: `room` holds as many; they are at most what is left, and a
  // multiple of kPieceBytes unless all of that. `ahead` may be null and is unused unless asks_ahead().
  Result<const uint8_t*> Next(size_t bytes, uint8_t* room, Ahead* ahead);

  // Whether pieces lie in the stream, never in `room`.
  bool is_in_place() const { return kind_ == CodecKind::kStored; }
  bool asks_ahead() const { return kind_ == CodecKind::kTans; }
  // A multiple of kPieceBytes, or 0 where it does not matter.
  size_t best_piece_bytes() const;

 private:
  Result<const uint8_t*> NextOfZstd(size_t bytes, uint8_t* room);

  CodecKind kind_ = CodecKind::kStored;
  ByteSpan stream_;
  size_t plane_bytes_ = 0;
  PlaneScratch* scratch_ = nullptr;
  const uint8_t* at_ = nullptr;  // stored and zstd: where the next piece is
  TansReader tans_;
  HuffmanReader huffman_;
};

}  // namespace entrofs::codec
