#pragma once

#include "codec/codec.h"

// What a segment begins with, once per plane. See docs/codec-format.md.
namespace entrofs::codec {

struct PlaneHeader {
  CodecKind kind;
  size_t stream_bytes;
};
inline constexpr size_t kPlaneHeaderBytes = 4;

// The kind is in the low bits, the stream's length above.
inline constexpr unsigned kKindBits = 4;
static_assert(kMaxSegmentBytes < (size_t{1} << (32 - kKindBits)));

inline PlaneHeader ReadPlaneHeader(const uint8_t* p) {
  const uint32_t word = LoadLe<uint32_t>(p);
  return {static_cast<CodecKind>(word & ((1u << kKindBits) - 1)), word >> kKindBits};
}

inline void WritePlaneHeader(const PlaneHeader& header, uint8_t* p) {
  StoreLe<uint32_t>(p, static_cast<uint32_t>(header.kind) | static_cast<uint32_t>(header.stream_bytes << kKindBits));
}

}  // namespace entrofs::codec
