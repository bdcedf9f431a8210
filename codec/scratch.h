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

// Of one plane. Encoding uses `bytes` only.
struct PlaneScratch {
  Buffer bytes;    // of the plane, or of a piece of it
  Buffer escapes;  // held bytes
  Buffer held;     // bytes before they are finished
  Buffer kept;     // Kernels::tans_kept_bytes
  std::unique_ptr<ZSTD_DCtx, FreeZstd> zstd_decoder;
};

struct Scratch::Impl {
  PlaneScratch planes[kMaxPlanes];
  // Encoding.
  std::vector<uint8_t> encoded;  // one encoded plane before it is known to be worth keeping
  Buffer stream;                 // the same, or part of it
  Buffer escapes;                // class numbers
  Buffer symbols;                // class symbols
  Buffer steps;                  // bits before they are interleaved, or class strings
  std::unique_ptr<ZSTD_CCtx, FreeZstd> zstd_encoder;
};

}  // namespace entrofs::codec
