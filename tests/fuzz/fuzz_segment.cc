// Any bytes as tables and a segment of any layout: no kernel leaves its buffers, and all kernels agree with the scalar
// one.
//
// Input: layout (tests/fuzz/layout_bytes.h), u8 number of tables, per table u8 kind, u16 length, table; per plane u8
// coder; u32 plain length, segment. A coder below 3 is stored, constant or zstd, another the table of that number less
// 3: planes may share one.

#include <cstdio>
#include <cstdlib>

#include "codec/codec.h"
#include "tests/fuzz/layout_bytes.h"

namespace entrofs::fuzz {
namespace {

constexpr uint32_t kMaxPlainBytes = 200'000;
constexpr codec::CodecKind kWithoutTable[] = {codec::CodecKind::kStored, codec::CodecKind::kConstant,
                                              codec::CodecKind::kZstd};

// What DecodeSegment is given.
struct Job {
  codec::Layout layout;
  std::vector<codec::PlaneDecoder> planes;
  uint32_t plain_bytes = 0;
  ByteSpan segment;
};

struct Outcome {
  bool ok;
  std::vector<uint8_t> plain;
};

Outcome Decode(std::string_view kernels, const Job& job) {
  if (!codec::SelectKernels(kernels)) std::abort();
  codec::Scratch scratch;
  Outcome outcome{false, std::vector<uint8_t>(job.plain_bytes)};
  outcome.ok = codec::DecodeSegment(job.layout, job.planes, job.segment, scratch, outcome.plain).ok();
  return outcome;
}

// The coders to choose from; empty when a table is refused.
std::vector<codec::PlaneDecoder> ReadCoders(ByteReader& reader) {
  std::vector<codec::PlaneDecoder> coders;
  for (codec::CodecKind kind : kWithoutTable) coders.push_back({kind, nullptr});
  const size_t tables = reader.ReadU8() % (codec::kMaxPlanes + 1);
  for (size_t i = 0; i < tables; ++i) {
    const auto kind = reader.ReadU8() % 2 == 0 ? codec::CodecKind::kTans : codec::CodecKind::kHuffman;
    auto table = codec::ParseTable(kind, reader.ReadBytes(reader.ReadU16()));
    if (!table) return {};
    coders.push_back({kind, *table});
  }
  return coders;
}

// False when the input is not one.
bool ReadJob(ByteReader& reader, Job& job) {
  job.layout = ReadLayout(reader);
  if (!codec::ValidateLayout(job.layout)) return false;
  const std::vector<codec::PlaneDecoder> coders = ReadCoders(reader);
  if (coders.empty()) return false;
  for (size_t p = 0; p < job.layout.plane_count(); ++p) job.planes.push_back(coders[reader.ReadU8() % coders.size()]);
  job.plain_bytes = reader.ReadU32();
  if (!reader.ok() || job.plain_bytes == 0 || job.plain_bytes > kMaxPlainBytes) return false;
  job.segment = reader.ReadBytes(reader.remaining());
  return true;
}

void Run(ByteSpan input) {
  ByteReader reader(input);
  Job job;
  if (!ReadJob(reader, job)) return;
  // A fresh allocation that ends with the slack: AddressSanitizer sees any read beyond.
  std::vector<uint8_t> stored(job.segment.begin(), job.segment.end());
  stored.resize(job.segment.size() + codec::kReadSlackBytes);
  stored.shrink_to_fit();
  job.segment = ByteSpan(stored).first(job.segment.size());
  const Outcome expected = Decode("scalar", job);
  for (std::string_view kernels : codec::SupportedKernels()) {
    const Outcome outcome = Decode(kernels, job);
    if (outcome.ok != expected.ok || (outcome.ok && outcome.plain != expected.plain)) {
      std::fprintf(stderr, "%.*s differs from scalar\n", static_cast<int>(kernels.size()), kernels.data());
      std::abort();
    }
  }
}

}  // namespace
}  // namespace entrofs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  entrofs::fuzz::Run({data, size});
  return 0;
}
