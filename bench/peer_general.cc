// memcpy, which nothing beats, and zstd at its fastest usual level, which most would take.

#include <zstd.h>

#include <cstring>

#include "bench/contender.h"

namespace entrofs::bench {
namespace {

class MemcpyContender : public Contender {
 public:
  MemcpyContender() : Contender(kMemcpy, "libc") {}

  void Encode(ByteSpan plain, size_t segment_bytes) override {
    copies_.Clear();
    ForEachSegment(plain, segment_bytes, [&](ByteSpan segment) {
      std::memcpy(copies_.Room(segment.size()), segment.data(), segment.size());
      copies_.Added(segment.size());
    });
  }
  uint64_t stored_bytes() const override { return copies_.total_bytes(); }
  std::unique_ptr<SegmentDecoder> NewDecoder() const override { return std::make_unique<Decoder>(copies_); }

 private:
  class Decoder : public SegmentDecoder {
   public:
    explicit Decoder(const Pieces& copies) : copies_(copies) {}
    bool Decode(size_t segment, MutableByteSpan plain) override {
      std::memcpy(plain.data(), copies_.piece(segment).data(), plain.size());
      return true;
    }

   private:
    const Pieces& copies_;
  };

  Pieces copies_;
};

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

class ZstdContender : public Contender {
 public:
  ZstdContender() : Contender(kZstd1, "libzstd"), context_(ZSTD_createCCtx()) {}

  void Encode(ByteSpan plain, size_t segment_bytes) override {
    frames_.Clear();
    ForEachSegment(plain, segment_bytes, [&](ByteSpan segment) {
      const size_t bound = ZSTD_compressBound(segment.size());
      frames_.Added(
          ZSTD_compressCCtx(context_.get(), frames_.Room(bound), bound, segment.data(), segment.size(), /*level=*/1));
    });
  }
  uint64_t stored_bytes() const override { return frames_.total_bytes(); }
  std::unique_ptr<SegmentDecoder> NewDecoder() const override { return std::make_unique<Decoder>(frames_); }

 private:
  class Decoder : public SegmentDecoder {
   public:
    explicit Decoder(const Pieces& frames) : frames_(frames), context_(ZSTD_createDCtx()) {}
    bool Decode(size_t segment, MutableByteSpan plain) override {
      const ByteSpan frame = frames_.piece(segment);
      return ZSTD_decompressDCtx(context_.get(), plain.data(), plain.size(), frame.data(), frame.size()) ==
             plain.size();
    }

   private:
    const Pieces& frames_;
    std::unique_ptr<ZSTD_DCtx, FreeContext> context_;
  };

  std::unique_ptr<ZSTD_CCtx, FreeContext> context_;
  Pieces frames_;
};

}  // namespace

Contenders GeneralPeers() {
  Contenders all;
  all.push_back(std::make_unique<MemcpyContender>());
  all.push_back(std::make_unique<ZstdContender>());
  return all;
}

}  // namespace entrofs::bench
