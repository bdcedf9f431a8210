// A segment: header, one stream per plane, leftover bytes. See docs/codec-format.md.

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string>

#include "codec/codec.h"
#include "codec/huffman.h"
#include "codec/kernels/kernels.h"
#include "codec/scratch.h"
#include "codec/table.h"
#include "codec/tans.h"
#include "codec/units.h"
#include "codec/zstd_stream.h"

namespace entrofs::codec {
namespace {

// Per plane, in the header: the kind in the low bits, the stream's length in bytes above.
constexpr unsigned kKindBits = 4;
constexpr size_t kPlaneHeaderBytes = 4;
static_assert(kMaxSegmentBytes < (size_t{1} << (32 - kKindBits)));

Error Corrupt(std::string_view what) { return Error{ErrorCode::kCorrupt, std::string("segment: ").append(what)}; }

struct PlaneHeader {
  CodecKind kind;
  size_t stream_bytes;
};

PlaneHeader ReadPlaneHeader(const uint8_t* p) {
  uint32_t word = LoadLe<uint32_t>(p);
  return {static_cast<CodecKind>(word & ((1u << kKindBits) - 1)), word >> kKindBits};
}

bool IsOneValue(ByteSpan plain) {
  return plain.empty() || std::memcmp(plain.data(), plain.data() + 1, plain.size() - 1) == 0;
}

// The stream of `plain` in the coding of `encoder`, kept in scratch; empty when that does not apply or fails.
ByteSpan EncodeStream(const PlaneEncoder& encoder, ByteSpan plain, Scratch::Impl& scratch) {
  switch (encoder.kind) {
    case CodecKind::kZstd:
      scratch.stream.Reserve(MaxZstdBytes(plain.size()));
      return scratch.stream.span().first(EncodeZstd(plain, scratch, scratch.stream.span()));
    case CodecKind::kTans:
      return EncodeTans(*encoder.table, plain, scratch, scratch.encoded) ? ByteSpan(scratch.encoded) : ByteSpan();
    case CodecKind::kHuffman:
      return EncodeHuffman(*encoder.table, plain, scratch, scratch.encoded) ? ByteSpan(scratch.encoded) : ByteSpan();
    default:
      return {};
  }
}

// Appends the best stream for one plane and returns its header.
PlaneHeader AppendPlane(const PlaneEncoder& encoder, ByteSpan plain, Scratch::Impl& scratch,
                        std::vector<uint8_t>& out) {
  if (plain.empty()) return {CodecKind::kStored, 0};
  if (IsOneValue(plain)) {
    out.push_back(plain[0]);
    return {CodecKind::kConstant, 1};
  }
  ByteSpan stream = EncodeStream(encoder, plain, scratch);
  CodecKind kind = encoder.kind;
  if (stream.empty() || stream.size() >= plain.size()) {
    stream = plain;
    kind = CodecKind::kStored;
  }
  out.insert(out.end(), stream.begin(), stream.end());
  return {kind, stream.size()};
}

Status DecodeStream(const PlaneDecoder& decoder, CodecKind kind, ByteSpan stream, Scratch::Impl& scratch,
                    MutableByteSpan plain) {
  if (kind == CodecKind::kStored) {
    if (stream.size() != plain.size()) return Corrupt("stored plane of another size");
    if (!plain.empty()) std::memcpy(plain.data(), stream.data(), plain.size());
    return OkStatus();
  }
  if (kind == CodecKind::kConstant) {
    if (stream.size() != 1) return Corrupt("constant plane that is not one byte");
    if (!plain.empty()) std::memset(plain.data(), stream[0], plain.size());
    return OkStatus();
  }
  if (kind != decoder.kind) return Corrupt("plane of a kind its extent does not have");
  if (plain.empty()) return Corrupt("coded plane without bytes");
  switch (kind) {
    case CodecKind::kTans:
      if (!DecodeTans(*decoder.table, stream, scratch, plain)) return Corrupt("broken tans plane");
      return OkStatus();
    case CodecKind::kHuffman:
      if (!DecodeHuffman(*decoder.table, stream, scratch, plain)) return Corrupt("broken huffman plane");
      return OkStatus();
    case CodecKind::kZstd:
      if (!DecodeZstd(stream, scratch, plain)) return Corrupt("broken zstd plane");
      return OkStatus();
    default:
      return Corrupt("plane of unknown kind");
  }
}

// Makes room for the planes of `count` units in scratch and sets planes[p] to them.
void ReservePlanes(const Layout& layout, size_t count, Scratch::Impl& scratch, uint8_t** planes) {
  for (size_t p = 0; p < layout.plane_count(); ++p) {
    scratch.planes[p].Reserve(count * PlaneBytesPerUnit(layout, p));
    planes[p] = scratch.planes[p].data();
  }
}

}  // namespace

std::string_view Name(CodecKind kind) {
  switch (kind) {
    case CodecKind::kStored:
      return "stored";
    case CodecKind::kConstant:
      return "constant";
    case CodecKind::kTans:
      return "tans";
    case CodecKind::kHuffman:
      return "huffman";
    case CodecKind::kZstd:
      return "zstd";
  }
  return "unknown";
}

size_t Layout::plane_count() const {
  if (block.empty()) return element_bytes;
  uint8_t highest = 0;
  for (const BlockField& field : block) highest = std::max(highest, field.plane);
  return size_t{highest} + 1;
}

size_t Layout::unit_bytes() const {
  if (block.empty()) return element_bytes;
  size_t bytes = 0;
  for (const BlockField& field : block) bytes += field.bytes;
  return bytes;
}

Status ValidateLayout(const Layout& layout) {
  auto broken = [](std::string_view what) { return Error{ErrorCode::kCorrupt, "layout: " + std::string(what)}; };
  const uint8_t size = layout.element_bytes;
  if (size != 1 && size != 2 && size != 4 && size != 8) return broken("elements are not of 1, 2, 4 or 8 bytes");
  if (layout.rotate_sign && size == 1) return broken("rotation of single bytes");
  if (layout.rotate_sign && layout.delta) return broken("rotation of differences");
  if (layout.block.empty()) return OkStatus();
  if (size != 1 || layout.delta) return broken("blocks of elements");
  if (layout.block.size() > kMaxBlockFields) return broken("block of too many fields");
  if (layout.unit_bytes() > kMaxBlockBytes) return broken("block too long");
  if (layout.plane_count() > kMaxPlanes) return broken("too many planes");
  for (const BlockField& field : layout.block) {
    if (field.bytes == 0) return broken("empty field");
  }
  for (size_t p = 0; p < layout.plane_count(); ++p) {
    if (PlaneBytesPerUnit(layout, p) == 0) return broken("plane without bytes");
  }
  return OkStatus();
}

Scratch::Scratch() : impl_(std::make_unique<Impl>()) {}
Scratch::~Scratch() = default;
Scratch::Scratch(Scratch&&) noexcept = default;
Scratch& Scratch::operator=(Scratch&&) noexcept = default;

void EncodeSegment(const Layout& layout, std::span<const PlaneEncoder> planes, ByteSpan plain, Scratch& scratch,
                   std::vector<uint8_t>& out) {
  assert(!plain.empty() && plain.size() <= kMaxSegmentBytes && planes.size() == layout.plane_count());
  Scratch::Impl& impl = scratch.impl();
  const size_t count = plain.size() / layout.unit_bytes();
  const bool is_split = !IsPlainBytes(layout);
  uint8_t* plane_bytes[kMaxPlanes];
  if (is_split) {
    ReservePlanes(layout, count, impl, plane_bytes);
    SplitUnits(layout, plain.data(), count, plane_bytes);
  }
  const size_t header = out.size();
  out.resize(header + planes.size() * kPlaneHeaderBytes);
  for (size_t p = 0; p < planes.size(); ++p) {
    ByteSpan plane = is_split ? ByteSpan(plane_bytes[p], count * PlaneBytesPerUnit(layout, p)) : plain;
    PlaneHeader written = AppendPlane(planes[p], plane, impl, out);
    StoreLe<uint32_t>(out.data() + header + p * kPlaneHeaderBytes,
                      static_cast<uint32_t>(written.kind) | static_cast<uint32_t>(written.stream_bytes << kKindBits));
  }
  out.insert(out.end(), plain.begin() + count * layout.unit_bytes(), plain.end());
}

Status DecodeSegment(const Layout& layout, std::span<const PlaneDecoder> planes, ByteSpan stored, Scratch& scratch,
                     MutableByteSpan plain) {
  if (planes.size() != layout.plane_count()) return Error{ErrorCode::kInvalidArgument, "segment: wrong plane count"};
  if (plain.empty() || plain.size() > kMaxSegmentBytes) return Corrupt("plain size out of range");
  if (stored.size() < planes.size() * kPlaneHeaderBytes) return Corrupt("shorter than its header");
  Scratch::Impl& impl = scratch.impl();
  const size_t unit_bytes = layout.unit_bytes();
  const size_t count = plain.size() / unit_bytes;
  const size_t leftover = plain.size() % unit_bytes;
  const bool is_split = !IsPlainBytes(layout);
  uint8_t* plane_bytes[kMaxPlanes] = {plain.data()};
  const uint8_t* merge_from[kMaxPlanes];
  if (is_split) ReservePlanes(layout, count, impl, plane_bytes);

  ByteSpan rest = stored.subspan(planes.size() * kPlaneHeaderBytes);
  for (size_t p = 0; p < planes.size(); ++p) {
    PlaneHeader header = ReadPlaneHeader(stored.data() + p * kPlaneHeaderBytes);
    if (header.stream_bytes > rest.size()) return Corrupt("plane longer than the segment");
    const ByteSpan stream = rest.first(header.stream_bytes);
    const size_t bytes = count * PlaneBytesPerUnit(layout, p);
    if (is_split && header.kind == CodecKind::kStored && stream.size() == bytes) {
      merge_from[p] = stream.data();
    } else {
      ENTROFS_RETURN_IF_ERROR(
          DecodeStream(planes[p], header.kind, stream, impl, MutableByteSpan(plane_bytes[p], bytes)));
      merge_from[p] = plane_bytes[p];
    }
    rest = rest.subspan(header.stream_bytes);
  }
  if (rest.size() != leftover) return Corrupt("bytes left over");
  if (is_split) MergeUnits(layout, merge_from, count, plain.data());
  if (leftover > 0) std::memcpy(plain.data() + count * unit_bytes, rest.data(), leftover);
  return OkStatus();
}

}  // namespace entrofs::codec
