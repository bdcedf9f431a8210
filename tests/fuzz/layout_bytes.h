#pragma once

#include <bit>

#include "base/bytes.h"
#include "codec/codec.h"

// Layouts in the inputs of fuzz targets: every one there is has a spelling, and nearly every spelling is one.
namespace entrofs::fuzz {

inline constexpr uint8_t kRotate = 4;
inline constexpr uint8_t kDelta = 8;
inline constexpr uint8_t kBlock = 16;
inline constexpr uint8_t kTrellis = 32;

// u8: log2 of the element size in bits 0 and 1, kRotate, kDelta, kBlock, kTrellis. With kBlock: u8 number of fields,
// then per field u16 bytes, u8 plane.
inline void WriteLayout(const codec::Layout& layout, ByteWriter& writer) {
  writer.WriteU8(static_cast<uint8_t>(std::countr_zero(layout.element_bytes) | (layout.rotate_sign ? kRotate : 0) |
                                      (layout.delta ? kDelta : 0) | (layout.trellis ? kTrellis : 0) |
                                      (layout.block.empty() ? 0 : kBlock)));
  if (layout.block.empty()) return;
  writer.WriteU8(static_cast<uint8_t>(layout.block.size()));
  for (const codec::BlockField& field : layout.block) {
    writer.WriteU16(field.bytes);
    writer.WriteU8(field.plane);
  }
}

// A layout that ValidateLayout may still refuse.
inline codec::Layout ReadLayout(ByteReader& reader) {
  const uint8_t form = reader.ReadU8();
  codec::Layout layout{.element_bytes = static_cast<uint8_t>(1u << (form & 3)),
                       .rotate_sign = (form & kRotate) != 0,
                       .delta = (form & kDelta) != 0,
                       .trellis = (form & kTrellis) != 0};
  if ((form & kBlock) == 0) return layout;
  const size_t fields = reader.ReadU8();
  for (size_t i = 0; i < fields && reader.ok(); ++i) {
    const uint16_t bytes = reader.ReadU16();
    layout.block.push_back({bytes, reader.ReadU8()});
  }
  return layout;
}

}  // namespace entrofs::fuzz
