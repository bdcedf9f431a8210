// The 32-way rANS of htscodecs, a table in each segment.

#include <htscodecs/rANS_static4x16.h>

#include "bench/contender.h"

namespace entrofs::bench {
namespace {

class HtscodecsContender : public Contender {
 public:
  HtscodecsContender(std::string kernel_name, int cpu) : Contender(kHtscodecs, std::move(kernel_name)), cpu_(cpu) {}

  void Activate() const override { rans_set_cpu(cpu_); }

  void Encode(ByteSpan plain, size_t segment_bytes) override {
    blocks_.Clear();
    ForEachSegment(plain, segment_bytes, [&](ByteSpan segment) {
      const auto plain_bytes = static_cast<unsigned>(segment.size());
      unsigned coded_bytes = rans_compress_bound_4x16(plain_bytes, RANS_ORDER_X32);
      // The library reads its input through a pointer to non-const.
      rans_compress_to_4x16(const_cast<uint8_t*>(segment.data()), plain_bytes, blocks_.Room(coded_bytes), &coded_bytes,
                            RANS_ORDER_X32);
      blocks_.Added(coded_bytes);
    });
  }
  uint64_t stored_bytes() const override { return blocks_.total_bytes(); }
  std::unique_ptr<SegmentDecoder> NewDecoder() const override { return std::make_unique<Decoder>(blocks_); }

 private:
  class Decoder : public SegmentDecoder {
   public:
    explicit Decoder(const Pieces& blocks) : blocks_(blocks) {}
    bool Decode(size_t segment, MutableByteSpan plain) override {
      const ByteSpan block = blocks_.piece(segment);
      auto plain_bytes = static_cast<unsigned>(plain.size());
      return rans_uncompress_to_4x16(const_cast<uint8_t*>(block.data()), static_cast<unsigned>(block.size()),
                                     plain.data(), &plain_bytes) != nullptr &&
             plain_bytes == plain.size();
    }

   private:
    const Pieces& blocks_;
  };

  int cpu_;
  Pieces blocks_;
};

}  // namespace

Contenders HtscodecsPeers() {
  Contenders all;
  [[maybe_unused]] auto add = [&](const char* kernel, int cpu) {
    all.push_back(std::make_unique<HtscodecsContender>(kernel, cpu));
  };
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) add("avx512", RANS_CPU_ENC_AVX512 | RANS_CPU_DEC_AVX512);
  if (__builtin_cpu_supports("avx2")) add("avx2", RANS_CPU_ENC_AVX2 | RANS_CPU_DEC_AVX2);
#elif defined(__aarch64__)
  add("neon", RANS_CPU_ENC_NEON | RANS_CPU_DEC_NEON);
#endif
  if (all.empty()) add("scalar", 0);
  return all;
}

}  // namespace entrofs::bench
