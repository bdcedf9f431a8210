// entrofs' own codecs, each with each kernel set.

#include <algorithm>

#include "bench/contender.h"

namespace entrofs::bench {
namespace {

class OurContender : public Contender {
 public:
  OurContender(codec::CodecKind kind, std::string_view kernels, const codec::Layout& layout)
      : Contender(std::string(codec::Name(kind)), std::string(kernels)), kind_(kind), layout_(layout) {}

  void Activate() const override { (void)codec::SelectKernels(kernel); }

  // With the histogram and the table, which a packer has to make too.
  void Encode(ByteSpan plain, size_t segment_bytes) override {
    std::vector<codec::Histogram> histograms(layout_.plane_count());
    codec::CountPlanes(layout_, plain, histograms);
    // The highest plane holds the exponents and is worth coding; the others are close to random.
    std::vector<codec::PlaneEncoder> encoders(layout_.plane_count());
    encoders.back() = {kind_, codec::BuildTable(kind_, histograms.back())};
    const ByteSpan table = codec::SerializedTable(*encoders.back().table);
    table_bytes_ = table.size();
    decoders_.assign(layout_.plane_count(), {});
    if (auto parsed = codec::ParseTable(kind_, table)) decoders_.back() = {kind_, *parsed};

    segments_.clear();
    ends_.clear();
    ForEachSegment(plain, segment_bytes, [&](ByteSpan segment) {
      codec::EncodeSegment(layout_, encoders, segment, scratch_, segments_);
      ends_.push_back(segments_.size());
    });
    segments_.resize(segments_.size() + codec::kReadSlackBytes);
  }

  uint64_t stored_bytes() const override { return ends_.back() + table_bytes_; }
  std::unique_ptr<SegmentDecoder> NewDecoder() const override { return std::make_unique<Decoder>(*this); }

 private:
  class Decoder : public SegmentDecoder {
   public:
    explicit Decoder(const OurContender& owner) : owner_(owner) {}
    bool Decode(size_t segment, MutableByteSpan plain) override {
      const size_t begin = segment == 0 ? 0 : owner_.ends_[segment - 1];
      const ByteSpan stored(owner_.segments_.data() + begin, owner_.ends_[segment] - begin);
      return codec::DecodeSegment(owner_.layout_, owner_.decoders_, stored, scratch_, plain).ok();
    }

   private:
    const OurContender& owner_;
    codec::Scratch scratch_;
  };

  codec::CodecKind kind_;
  codec::Layout layout_;
  codec::Scratch scratch_;
  std::vector<codec::PlaneDecoder> decoders_;
  std::vector<uint8_t> segments_;
  std::vector<size_t> ends_;
  size_t table_bytes_ = 0;
};

}  // namespace

Contenders OurContenders(const codec::Layout& layout) {
  Contenders all;
  for (codec::CodecKind kind : {codec::CodecKind::kTans, codec::CodecKind::kHuffman}) {
    for (std::string_view kernels : codec::SupportedKernels()) {
      all.push_back(std::make_unique<OurContender>(kind, kernels, layout));
    }
  }
  return all;
}

}  // namespace entrofs::bench
