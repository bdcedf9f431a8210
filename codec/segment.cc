// Layouts, and segments being encoded. See docs/codec-format.md.

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string>

#include "codec/codec.h"
#include "codec/huffman.h"
#include "codec/plane_header.h"
#include "codec/scratch.h"
#include "codec/tans.h"
#include "codec/units.h"
#include "codec/zstd_stream.h"

namespace entrofs::codec {
namespace {

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

// Makes room for the planes of `count` units in scratch and sets planes[p] to them.
void ReservePlanes(const Layout& layout, size_t count, Scratch::Impl& scratch, uint8_t** planes) {
  for (size_t p = 0; p < layout.plane_count(); ++p) {
    scratch.planes[p].bytes.Reserve(count * PlaneBytesPerUnit(layout, p));
    planes[p] = scratch.planes[p].bytes.data();
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
  if (layout.trellis && (size != 1 || layout.delta || !layout.block.empty())) return broken("trellis of elements");
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
  const size_t unit_bytes = layout.unit_bytes();
  assert(unit_bytes > 0);
  const size_t count = plain.size() / unit_bytes;
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
    WritePlaneHeader(written, out.data() + header + p * kPlaneHeaderBytes);
  }
  out.insert(out.end(), plain.begin() + count * unit_bytes, plain.end());
}

}  // namespace entrofs::codec
