// Writes seed inputs for every fuzz target: make-fuzz-corpus FOLDER makes FOLDER/<target>/<seed>.

#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "tests/fuzz/layout_bytes.h"
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

void AddArchive(Corpus& corpus, const std::string& name, const Bytes& archive) {
  corpus.Add("archive", name, archive);
  corpus.Add("archive", name + "-open", WithIndexAsItIs(archive));
  ByteWriter index;
  index.WriteU32(static_cast<uint32_t>(testing_support::FooterOf(archive).report.archive_offset));
  index.WriteBytes(testing_support::PlainIndexOf(archive));
  corpus.Add("index", name, index.bytes());
}

// What encodes the planes of an extent: a table of its own for each, or one that all share.
std::vector<codec::PlaneEncoder> EncodersFor(const testing_support::SampleExtent& extent, bool share) {
  std::vector<codec::Histogram> histograms(extent.layout.plane_count());
  codec::CountPlanes(extent.layout, extent.plain, histograms);
  std::vector<codec::PlaneEncoder> planes(histograms.size(), {extent.kind, nullptr});
  if (extent.kind != codec::CodecKind::kTans && extent.kind != codec::CodecKind::kHuffman) return planes;
  if (share) {
    codec::Histogram all = {};
    codec::CountBytes(extent.plain, all);
    std::fill(histograms.begin(), histograms.end(), all);
  }
  for (size_t p = 0; p < planes.size(); ++p) {
    planes[p].table = share && p > 0 ? planes[0].table : codec::BuildTable(extent.kind, histograms[p]);
  }
  return planes;
}

// The first segment of the extent as input of the segment target.
Bytes SegmentInput(const testing_support::SampleExtent& extent, bool share) {
  const std::vector<codec::PlaneEncoder> planes = EncodersFor(extent, share);
  const size_t tables = planes[0].table == nullptr ? 0 : share ? 1 : planes.size();
  ByteWriter segment;
  WriteLayout(extent.layout, segment);
  segment.WriteU8(static_cast<uint8_t>(tables));
  for (size_t t = 0; t < tables; ++t) {
    const ByteSpan serialized = codec::SerializedTable(*planes[t].table);
    segment.WriteU8(extent.kind == codec::CodecKind::kTans ? 0 : 1);
    segment.WriteU16(static_cast<uint16_t>(serialized.size()));
    segment.WriteBytes(serialized);
  }
  for (size_t p = 0; p < planes.size(); ++p) {
    const uint8_t without_table = extent.kind == codec::CodecKind::kZstd ? 2 : static_cast<uint8_t>(extent.kind);
    segment.WriteU8(tables == 0 ? without_table : static_cast<uint8_t>(3 + (share ? 0 : p)));
  }
  segment.WriteU32(static_cast<uint32_t>(extent.plain.size()));
  codec::Scratch scratch;
  Bytes stored;
  codec::EncodeSegment(extent.layout, planes, extent.plain, scratch, stored);
  segment.WriteBytes(stored);
  return std::move(segment).Take();
}

// The extent as input of the segment and of the round trip target.
void AddExtent(Corpus& corpus, const std::string& name, const testing_support::SampleExtent& extent) {
  if (extent.plain.empty() || extent.plain.size() > codec::kMinSegmentBytes) return;
  ByteWriter round_trip;
  WriteLayout(extent.layout, round_trip);
  round_trip.WriteU8(static_cast<uint8_t>(extent.kind));
  round_trip.WriteU8(255);
  round_trip.WriteBytes(extent.plain);
  corpus.Add("round_trip", name, round_trip.bytes());
  corpus.Add("segment", name, SegmentInput(extent, false));
  if (extent.layout.plane_count() > 1) corpus.Add("segment", name + "-one-table", SegmentInput(extent, true));
}

void AddText(Corpus& corpus, const std::string& target, const std::string& name, const std::string& text) {
  corpus.Add(target, name, AsBytes(text));
}

// `data_bytes` of tensors behind the header `json`: as the JSON alone and as a whole file.
void AddSafetensors(Corpus& corpus, const std::string& name, const std::string& json, uint32_t data_bytes) {
  ByteWriter header;
  header.WriteU32(data_bytes);
  header.WriteBytes(AsBytes(json));
  corpus.Add("safetensors", name, header.bytes());
  ByteWriter file;
  file.WriteU64(json.size());
  file.WriteBytes(AsBytes(json));
  file.WriteBytes(Bytes(data_bytes));
  corpus.Add("safetensors", name + "-file", file.bytes());
}

void WriteText(ByteWriter& writer, const std::string& text) {
  writer.WriteU64(text.size());
  writer.WriteBytes(AsBytes(text));
}

// Two tensors, F32 and Q4_0, and keys of some types.
void AddGguf(Corpus& corpus) {
  for (uint32_t version : {2u, 3u}) {
    ByteWriter header;
    header.WriteU32(4096);
    header.WriteBytes(AsBytes("GGUF"));
    header.WriteU32(version);
    header.WriteU64(2);
    header.WriteU64(3);
    WriteText(header, "general.architecture");
    header.WriteU32(8);  // a string
    WriteText(header, "llama");
    WriteText(header, "general.alignment");
    header.WriteU32(4);  // a u32
    header.WriteU32(32);
    WriteText(header, "tokenizer.ggml.tokens");
    header.WriteU32(9);  // an array of strings
    header.WriteU32(8);
    header.WriteU64(2);
    WriteText(header, "<s>");
    WriteText(header, "a");
    WriteText(header, "norm.weight");
    header.WriteU32(1);
    header.WriteU64(64);
    header.WriteU32(0);  // F32
    header.WriteU64(0);
    WriteText(header, "down.weight");
    header.WriteU32(2);
    header.WriteU64(64);
    header.WriteU64(8);
    header.WriteU32(2);  // Q4_0
    header.WriteU64(256);
    corpus.Add("gguf", "version" + std::to_string(version), header.bytes());
  }
}

void AddTexts(Corpus& corpus) {
  AddSafetensors(corpus, "empty", "{}", 0);
  AddSafetensors(corpus, "two",
                 R"({"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},)"
                 R"("b":{"dtype":"I8","shape":[],"data_offsets":[12,13]}})",
                 13);
  AddSafetensors(corpus, "odd",
                 R"({"a":["F4",[2,1],[0,1]],"\u00e9\ud83d\ude00":{"data_offsets":[1,1],"shape":[0],)"
                 R"("dtype":{"U64":null},"x":[{}]}}   )",
                 1);
  const std::string index = R"({"metadata":{"total_size":10},"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})";
  const std::string config =
      R"({"architectures":["LlamaForCausalLM"],"rope_scaling":null,"eps":1e-05,"x":{"y":[1,{}]}})";
  const std::string report =
      R"({"quant":"uint8","codec":"auto","tables":"tensor","segment_bytes":262144,"other":)"
      R"({"plain_bytes":5,"archive_bytes":4},"files":[{"path":"m.safetensors","tensors":[{"name":)"
      R"("w","dtype":"BF16","shape":[4,4],"codec":"stored+tans","archive_bytes":30,)"
      R"("entropy_bits":200,"weights":16,"signal_energy":1.5,"noise_energy":0.25}]}]})";
  for (const std::string& text : {index, config, report}) {
    for (char which : {'\0', '\1', '\2'}) {
      AddText(corpus, "json", std::to_string(text.size()) + "-" + std::to_string(which), which + text);
    }
  }
  int number = 0;
  for (const char* text :
       {"512", "64KiB", "1.5M", "2.1GB", "0.0001T", "9223372036854775807", "cache_size=1G,threads=4,ro,nofail",
        "max_read=4096,read_ahead_kb=0,archive_cache=keep,x-systemd.automount",
        "cache_policy=scan,noallow_other,noexec", "model-00001-of-00002.safetensors", "a/b/../c",
        "\xc3\xa9\xf0\x9f\x98\x80\xed\xa0\x80",
        "archive\t/a.entro\npid\t12\n\nreads\t3\ndecode_ns\t18446744073709551615\n",
        "36 35 98:0 / /mnt/a\\040b rw,noatime shared:1 - fuse.entrofs entrofs rw,user_id=0\n"}) {
    AddText(corpus, "text", std::to_string(number++), text);
  }
}

// Whole archives, damaged ones and repaired ones, read in pieces.
void AddVirtualFiles(Corpus& corpus) {
  for (uint8_t sample = 0; sample < 16; ++sample) {
    for (uint8_t flags : {0, 6, 9, 15}) {
      ByteWriter input;
      input.WriteU8(sample);
      input.WriteU8(flags);
      input.WriteU8(flags == 0 ? 0 : 1);
      if (flags != 0) {
        input.WriteU32(40u * flags);
        input.WriteU8(flags);
      }
      for (uint8_t file = 0; file < 3; ++file) {
        input.WriteU8(file);
        input.WriteU16(static_cast<uint16_t>(61 * sample));
        input.WriteU8(0);
        input.WriteU16(4096);
      }
      corpus.Add("vfs", std::to_string(sample) + "-" + std::to_string(flags), input.bytes());
    }
  }
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
  entrofs::fuzz::AddGguf(corpus);
  entrofs::fuzz::AddTexts(corpus);
  entrofs::fuzz::AddVirtualFiles(corpus);
  entrofs::fuzz::AddSample(corpus, "small", entrofs::testing_support::MixedSample(1));
  entrofs::fuzz::AddSample(corpus, "small-views", entrofs::testing_support::ViewsSample(1));
  for (const auto& golden : entrofs::golden::GoldenSamples()) {
    entrofs::fuzz::AddSample(corpus, golden.name, golden.make());
  }
  if (!corpus.ok()) std::fprintf(stderr, "make-fuzz-corpus: cannot write to %s\n", argv[1]);
  return corpus.ok() ? 0 : 1;
}
