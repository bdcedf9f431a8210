// Writes seed inputs for every fuzz target: make-fuzz-corpus FOLDER makes FOLDER/<target>/<seed>.

#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "tests/golden/golden_samples.h"
#include "tests/support/craft_archive.h"

namespace entrofs::fuzz {
namespace {

using testing_support::Bytes;

// Mutations of a compressed index seldom get past zstd.
Bytes WithIndexAsItIs(const Bytes& archive) {
  archive::Footer footer = testing_support::FooterOf(archive);
  Bytes index = testing_support::PlainIndexOf(archive);
  Bytes crafted(archive.begin(), archive.begin() + static_cast<ptrdiff_t>(footer.index.archive_offset));
  crafted.insert(crafted.end(), index.begin(), index.end());
  footer.index.stored_bytes = footer.index.plain_bytes = index.size();
  footer.index.hash = Hash64(index, footer.index.archive_offset);
  footer.archive_bytes = crafted.size() + archive::kFooterBytes;
  crafted.resize(footer.archive_bytes);
  return testing_support::WithFooter(crafted, footer);
}

class Corpus {
 public:
  explicit Corpus(std::string folder) : folder_(std::move(folder)) {}

  void Add(const std::string& target, const std::string& name, ByteSpan bytes) {
    std::string path = folder_ + "/" + target + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    auto file = CreateFile(path);
    ok_ = ok_ && file.ok() && (*file)->Append(bytes).ok() && (*file)->Commit().ok();
  }
  bool ok() const { return ok_; }

 private:
  const std::string folder_;
  bool ok_ = true;
};

uint8_t LayoutByte(const codec::Layout& layout) {
  return static_cast<uint8_t>(std::countr_zero(layout.element_bytes) | (layout.rotate_sign ? 4 : 0));
}

void AddArchive(Corpus& corpus, const std::string& name, const Bytes& archive) {
  corpus.Add("archive", name, archive);
  corpus.Add("archive", name + "-open", WithIndexAsItIs(archive));
  ByteWriter index;
  index.WriteU32(static_cast<uint32_t>(testing_support::FooterOf(archive).report.archive_offset));
  index.WriteBytes(testing_support::PlainIndexOf(archive));
  corpus.Add("index", name, index.bytes());
}

// The extent as input of the segment target (its first segment, with the table of its first plane) and of the round
// trip target.
void AddExtent(Corpus& corpus, const std::string& name, const testing_support::SampleExtent& extent) {
  if (extent.plain.empty() || extent.plain.size() > codec::kMinSegmentBytes) return;
  ByteWriter round_trip;
  round_trip.WriteU8(LayoutByte(extent.layout));
  round_trip.WriteU8(static_cast<uint8_t>(extent.kind));
  round_trip.WriteU8(255);
  round_trip.WriteBytes(extent.plain);
  corpus.Add("round_trip", name, round_trip.bytes());

  std::vector<codec::Histogram> histograms(extent.layout.plane_count());
  codec::CountPlanes(extent.layout, extent.plain, histograms);
  codec::PlaneEncoder plane{extent.kind, nullptr};
  ByteSpan serialized;
  if (extent.kind == codec::CodecKind::kTans || extent.kind == codec::CodecKind::kHuffman) {
    plane.table = codec::BuildTable(extent.kind, histograms[0]);
    serialized = codec::SerializedTable(*plane.table);
  }
  codec::Scratch scratch;
  Bytes stored;
  codec::EncodeSegment(extent.layout, std::vector<codec::PlaneEncoder>(histograms.size(), plane), extent.plain, scratch,
                       stored);
  ByteWriter segment;
  segment.WriteU8(LayoutByte(extent.layout));
  segment.WriteU8(static_cast<uint8_t>(extent.kind));
  segment.WriteU16(static_cast<uint16_t>(serialized.size()));
  segment.WriteBytes(serialized);
  segment.WriteU32(static_cast<uint32_t>(extent.plain.size()));
  segment.WriteBytes(stored);
  corpus.Add("segment", name, segment.bytes());
}

void AddSample(Corpus& corpus, const std::string& name, const testing_support::Sample& sample) {
  AddArchive(corpus, name, testing_support::Pack(sample));
  for (size_t i = 0; i < sample.files.size(); ++i) {
    for (size_t j = 0; j < sample.files[i].extents.size(); ++j) {
      AddExtent(corpus, name + "-" + std::to_string(i) + "-" + std::to_string(j), sample.files[i].extents[j]);
    }
  }
}

}  // namespace
}  // namespace entrofs::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make-fuzz-corpus FOLDER\n");
    return 2;
  }
  entrofs::fuzz::Corpus corpus(argv[1]);
  entrofs::fuzz::AddSample(corpus, "small", entrofs::testing_support::MixedSample(1));
  for (const auto& golden : entrofs::golden::GoldenSamples()) {
    entrofs::fuzz::AddSample(corpus, golden.name, golden.sample);
  }
  if (!corpus.ok()) std::fprintf(stderr, "make-fuzz-corpus: cannot write to %s\n", argv[1]);
  return corpus.ok() ? 0 : 1;
}
