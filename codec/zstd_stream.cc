#include "codec/zstd_stream.h"

#include <new>

namespace entrofs::codec {
namespace {

// Literal bytes (configuration, vocabularies) are few and written once.
constexpr int kLevel = 9;

}  // namespace

size_t MaxZstdBytes(size_t plain_bytes) { return ZSTD_compressBound(plain_bytes); }

size_t EncodeZstd(ByteSpan plain, Scratch::Impl& scratch, MutableByteSpan out) {
  if (!scratch.zstd_encoder) {
    scratch.zstd_encoder.reset(ZSTD_createCCtx());
    if (!scratch.zstd_encoder) throw std::bad_alloc();
    ZSTD_CCtx_setParameter(scratch.zstd_encoder.get(), ZSTD_c_compressionLevel, kLevel);
    ZSTD_CCtx_setParameter(scratch.zstd_encoder.get(), ZSTD_c_contentSizeFlag, 0);
  }
  size_t size = ZSTD_compress2(scratch.zstd_encoder.get(), out.data(), out.size(), plain.data(), plain.size());
  return ZSTD_isError(size) ? 0 : size;
}

bool DecodeZstd(ByteSpan stored, PlaneScratch& scratch, MutableByteSpan plain) {
  if (!scratch.zstd_decoder) {
    scratch.zstd_decoder.reset(ZSTD_createDCtx());
    if (!scratch.zstd_decoder) throw std::bad_alloc();
  }
  if (ZSTD_findFrameCompressedSize(stored.data(), stored.size()) != stored.size()) return false;
  size_t size =
      ZSTD_decompressDCtx(scratch.zstd_decoder.get(), plain.data(), plain.size(), stored.data(), stored.size());
  return size == plain.size();
}

}  // namespace entrofs::codec
