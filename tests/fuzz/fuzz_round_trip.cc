// Any bytes as plain data: what is encoded is decoded to the same bytes by every kernel, with tables that fit the data
// or other data.
//
// Input: layout (tests/fuzz/layout_bytes.h), u8 kind, u8 share of the data that the tables are fitted to, plain bytes.

#include <cstdio>
#include <cstdlib>

#include "codec/codec.h"
#include "tests/fuzz/layout_bytes.h"

namespace entrofs::fuzz {
namespace {

// Encoders promise no more than this beyond the plain bytes.
constexpr size_t kMaxOverheadBytes = 4 * codec::kMaxPlanes;

void Fail(const char* what) {
  std::fprintf(stderr, "round trip: %s\n", what);
  std::abort();
}

void Run(ByteSpan input) {
  ByteReader reader(input);
  const codec::Layout layout = ReadLayout(reader);
  codec::CodecKind kind = static_cast<codec::CodecKind>(reader.ReadU8() % 5);
  size_t fitted_share = reader.ReadU8();
  ByteSpan plain = reader.ReadBytes(reader.remaining());
  if (!codec::ValidateLayout(layout) || plain.empty()) return;

  std::vector<codec::Histogram> histograms(layout.plane_count());
  codec::CountPlanes(layout, plain.first(plain.size() * fitted_share / 255), histograms);
  std::vector<codec::PlaneEncoder> encoders;
  std::vector<codec::PlaneDecoder> decoders;
  for (const codec::Histogram& histogram : histograms) {
    codec::PlaneEncoder encoder{kind, nullptr};
    codec::PlaneDecoder decoder{kind, nullptr};
    if (kind == codec::CodecKind::kTans || kind == codec::CodecKind::kHuffman) {
      encoder.table = codec::BuildTable(kind, histogram);
      auto table = codec::ParseTable(kind, codec::SerializedTable(*encoder.table));
      if (!table) Fail("a built table is refused");
      decoder.table = *table;
    }
    encoders.push_back(encoder);
    decoders.push_back(decoder);
  }
  codec::Scratch scratch;
  std::vector<uint8_t> stored;
  codec::EncodeSegment(layout, encoders, plain, scratch, stored);
  if (stored.size() > plain.size() + kMaxOverheadBytes) Fail("grew too much");
  const size_t stored_bytes = stored.size();
  stored.resize(stored_bytes + codec::kReadSlackBytes);
  stored.shrink_to_fit();  // AddressSanitizer sees any read beyond
  for (std::string_view kernels : codec::SupportedKernels()) {
    if (!codec::SelectKernels(kernels)) Fail("kernels");
    std::vector<uint8_t> decoded(plain.size());
    if (!codec::DecodeSegment(layout, decoders, ByteSpan(stored).first(stored_bytes), scratch, decoded)) {
      Fail("an encoded segment is refused");
    }
    if (!std::equal(decoded.begin(), decoded.end(), plain.begin())) Fail("other bytes");
  }
}

}  // namespace
}  // namespace entrofs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  entrofs::fuzz::Run({data, size});
  return 0;
}
