// Any bytes as tables and a segment: no kernel leaves its buffers, and all kernels agree with the scalar one.
//
// Input: u8 layout, u8 kind, u16 table length, table, u32 plain length, segment.

#include <cstdio>
#include <cstdlib>

#include "codec/codec.h"

namespace entrofs::fuzz {
namespace {

constexpr uint32_t kMaxPlainBytes = 200'000;

struct Outcome {
  bool ok;
  std::vector<uint8_t> plain;
};

Outcome Decode(std::string_view kernels, const codec::Layout& layout, std::span<const codec::PlaneDecoder> planes,
               ByteSpan stored, size_t plain_bytes) {
  if (!codec::SelectKernels(kernels)) std::abort();
  codec::Scratch scratch;
  Outcome outcome{false, std::vector<uint8_t>(plain_bytes)};
  outcome.ok = codec::DecodeSegment(layout, planes, stored, scratch, outcome.plain).ok();
  return outcome;
}

void Run(ByteSpan input) {
  ByteReader reader(input);
  uint8_t layout_byte = reader.ReadU8();
  codec::Layout layout{static_cast<uint8_t>(1u << (layout_byte & 3)), (layout_byte & 4) != 0};
  if (!codec::ValidateLayout(layout)) return;
  codec::PlaneDecoder plane{static_cast<codec::CodecKind>(reader.ReadU8() % 5), nullptr};
  ByteSpan serialized = reader.ReadBytes(reader.ReadU16());
  uint32_t plain_bytes = reader.ReadU32();
  if (!reader.ok() || plain_bytes == 0 || plain_bytes > kMaxPlainBytes) return;
  if (plane.kind == codec::CodecKind::kTans || plane.kind == codec::CodecKind::kHuffman) {
    auto table = codec::ParseTable(plane.kind, serialized);
    if (!table) return;
    plane.table = *table;
  }
  std::vector<codec::PlaneDecoder> planes(layout.plane_count(), plane);
  // A fresh allocation that ends with the slack: AddressSanitizer sees any read beyond.
  ByteSpan rest = reader.ReadBytes(reader.remaining());
  std::vector<uint8_t> stored(rest.begin(), rest.end());
  stored.resize(rest.size() + codec::kReadSlackBytes);
  ByteSpan segment = ByteSpan(stored).first(rest.size());
  Outcome expected = Decode("scalar", layout, planes, segment, plain_bytes);
  for (std::string_view kernels : codec::SupportedKernels()) {
    Outcome outcome = Decode(kernels, layout, planes, segment, plain_bytes);
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
