// zstd's Huffman stage alone, with one table for the whole input, built before the race: one symbol per lookup (x1) and
// two (x2).

#include <algorithm>
#include <cstring>

#include "bench/contender.h"
#include "bench/huff0_functions.h"

namespace entrofs::bench {
namespace {

int Flags() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("bmi2") ? kHufBmi2 : 0;
#else
  return 0;
#endif
}

class Huff0Contender : public Contender {
 public:
  explicit Huff0Contender(bool two_symbols) : Contender(kHuff0, two_symbols ? "x2" : "x1"), two_symbols_(two_symbols) {}

  void Encode(ByteSpan plain, size_t segment_bytes) override {
    BuildTables(plain);
    segment_bytes_ = segment_bytes;
    blocks_.Clear();
    ForEachSegment(plain, segment_bytes, [&](ByteSpan segment) {
      ForEachSegment(segment, kHufBlockBytes, [&](ByteSpan block) {
        const size_t bound = HUF_compressBound(block.size());
        uint8_t* out = blocks_.Room(bound);
        size_t size = HUF_compress4X_usingCTable(out, bound, block.data(), block.size(), encode_table_.data(), Flags());
        if (HUF_isError(size) || size == 0 || size >= block.size()) {
          std::memcpy(out, block.data(), size = block.size());
        }
        blocks_.Added(size);
      });
    });
  }

  uint64_t stored_bytes() const override { return blocks_.total_bytes() + table_bytes_; }
  std::unique_ptr<SegmentDecoder> NewDecoder() const override { return std::make_unique<Decoder>(*this); }

 private:
  class Decoder : public SegmentDecoder {
   public:
    explicit Decoder(const Huff0Contender& owner) : owner_(owner), flags_(Flags()) {}
    bool Decode(size_t segment, MutableByteSpan plain) override {
      size_t number = segment * ((owner_.segment_bytes_ + kHufBlockBytes - 1) / kHufBlockBytes);
      for (size_t at = 0; at < plain.size(); at += kHufBlockBytes, ++number) {
        const ByteSpan block = owner_.blocks_.piece(number);
        const size_t size = std::min(kHufBlockBytes, plain.size() - at);
        if (block.size() == size) {
          std::memcpy(plain.data() + at, block.data(), size);
        } else if (HUF_decompress4X_usingDTable(plain.data() + at, size, block.data(), block.size(),
                                                owner_.decode_table_.data(), flags_) != size) {
          return false;
        }
      }
      return true;
    }

   private:
    const Huff0Contender& owner_;
    int flags_;
  };

  void BuildTables(ByteSpan plain) {
    codec::Histogram histogram{};
    codec::CountBytes(plain, histogram);
    unsigned count[256];
    unsigned most = 0;
    for (unsigned i = 0; i < 256; ++i) {
      count[i] = static_cast<unsigned>(histogram[i]);
      if (count[i] > 0) most = i;
    }
    uint8_t workspace[kHufWorkspaceBytes], written[256];
    const size_t bits =
        HUF_buildCTable_wksp(encode_table_.data(), count, most, kHufMaxBits, workspace, sizeof workspace);
    table_bytes_ = HUF_writeCTable_wksp(written, sizeof written, encode_table_.data(), most,
                                        static_cast<unsigned>(bits), workspace, sizeof workspace);
    decode_table_[0] = two_symbols_ ? kHufEmptyX2 : kHufEmptyX1;
    const auto read = two_symbols_ ? HUF_readDTableX2_wksp : HUF_readDTableX1_wksp;
    read(decode_table_.data(), written, table_bytes_, workspace, sizeof workspace, Flags());
  }

  bool two_symbols_;
  size_t segment_bytes_ = 0;
  size_t table_bytes_ = 0;
  std::vector<size_t> encode_table_ = std::vector<size_t>(kHufEncodeTableWords);
  std::vector<unsigned> decode_table_ = std::vector<unsigned>(kHufDecodeTableWords);
  Pieces blocks_;
};

}  // namespace

Contenders Huff0Peers() {
  Contenders all;
  all.push_back(std::make_unique<Huff0Contender>(false));
  all.push_back(std::make_unique<Huff0Contender>(true));
  return all;
}

}  // namespace entrofs::bench
