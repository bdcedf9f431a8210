#pragma once

#include "codec/codec.h"
#include "codec/scratch.h"

// The kZstd stream: one zstd frame that holds the whole plane.
namespace entrofs::codec {

// Largest size EncodeZstd writes for `plain_bytes`.
size_t MaxZstdBytes(size_t plain_bytes);
// Returns the bytes written to `out`, which holds MaxZstdBytes(plain.size()), or 0 when zstd fails.
size_t EncodeZstd(ByteSpan plain, Scratch::Impl& scratch, MutableByteSpan out);
// True when `stored` was one frame of exactly plain.size() bytes.
bool DecodeZstd(ByteSpan stored, PlaneScratch& scratch, MutableByteSpan plain);

}  // namespace entrofs::codec
