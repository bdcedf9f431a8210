#include "codec/plane_reader.h"

#include <cstring>
#include <string>

#include "codec/zstd_stream.h"

namespace entrofs::codec {
namespace {

static_assert(kPieceBytes % kRoundBytes == 0 && kPieceBytes % kHuffmanChunkBytes == 0);

Error Corrupt(std::string_view what) { return Error{ErrorCode::kCorrupt, std::string("segment: ").append(what)}; }

}  // namespace

Status PlaneReader::Open(const PlaneDecoder& decoder, CodecKind kind, ByteSpan stream, size_t plane_bytes,
                         PlaneScratch& scratch) {
  kind_ = kind;
  stream_ = stream;
  plane_bytes_ = plane_bytes;
  scratch_ = &scratch;
  at_ = nullptr;
  if (kind == CodecKind::kStored) {
    if (stream.size() != plane_bytes) return Corrupt("stored plane of another size");
    at_ = stream.data();
    return OkStatus();
  }
  if (kind == CodecKind::kConstant) {
    if (stream.size() != 1) return Corrupt("constant plane that is not one byte");
    return OkStatus();
  }
  if (kind != decoder.kind) return Corrupt("plane of a kind its extent does not have");
  if (plane_bytes == 0) return Corrupt("coded plane without bytes");
  switch (kind) {
    case CodecKind::kTans:
      if (!tans_.Open(*decoder.table, stream, plane_bytes, scratch)) return Corrupt("broken tans plane");
      return OkStatus();
    case CodecKind::kHuffman:
      if (!huffman_.Open(*decoder.table, stream, plane_bytes, scratch)) return Corrupt("broken huffman plane");
      return OkStatus();
    case CodecKind::kZstd:
      return OkStatus();
    default:
      return Corrupt("plane of unknown kind");
  }
}

Result<const uint8_t*> PlaneReader::Next(size_t bytes, uint8_t* room, Ahead* ahead) {
  switch (kind_) {
    case CodecKind::kStored:
      at_ += bytes;
      return at_ - bytes;
    case CodecKind::kConstant:
      std::memset(room, stream_[0], bytes);
      return room;
    case CodecKind::kTans:
      if (!tans_.Read({room, bytes}, ahead)) return Corrupt("broken tans plane");
      return room;
    case CodecKind::kHuffman:
      if (!huffman_.Read({room, bytes})) return Corrupt("broken huffman plane");
      return room;
    default:
      return NextOfZstd(bytes, room);
  }
}

// A frame is decoded at once, to where it is wanted if all of it is.
Result<const uint8_t*> PlaneReader::NextOfZstd(size_t bytes, uint8_t* room) {
  if (at_ == nullptr) {
    if (bytes < plane_bytes_) {
      scratch_->held.Reserve(plane_bytes_);
      room = scratch_->held.data();
    }
    if (!DecodeZstd(stream_, *scratch_, {room, plane_bytes_})) return Corrupt("broken zstd plane");
    at_ = room;
  }
  at_ += bytes;
  return at_ - bytes;
}

size_t PlaneReader::best_piece_bytes() const {
  switch (kind_) {
    case CodecKind::kTans:
      return Active().tans_piece_bytes;
    case CodecKind::kHuffman:
      return kHuffmanPieceBytes;
    default:
      return 0;
  }
}

}  // namespace entrofs::codec
