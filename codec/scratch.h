#pragma once

#include <zstd.h>

#include <memory>

#include "base/buffer.h"
#include "codec/codec.h"

namespace entrofs::codec {

struct FreeZstd {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// Blocks grow to what the largest segment needed and are then reused.
struct Scratch::Impl {
  Buffer planes[kMaxPlanes];
  std::vector<uint8_t> encoded;  // one encoded plane before it is known to be worth keeping
  Buffer stream;                 // the same, or part of it
  Buffer escapes;                // encoding: class numbers; decoding: held bytes
  Buffer symbols;                // encoding: class symbols; decoding: held bytes
  Buffer steps;                  // encoding: bits before they are interleaved, or class strings
  std::unique_ptr<ZSTD_CCtx, FreeZstd> zstd_encoder;
  std::unique_ptr<ZSTD_DCtx, FreeZstd> zstd_decoder;
};

}  // namespace entrofs::codec
