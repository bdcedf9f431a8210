// Segments of several planes, which are decoded and merged piece by piece: every kernel set, all lengths around the
// ends of pieces, planes of different kinds beside one another, and broken ones.

#include <gtest/gtest.h>

#include "codec/plane_reader.h"
#include "tests/codec/support.h"

namespace entrofs::codec {
namespace {

// A layout and the kind of each plane, the last repeated.
struct Planes {
  const char* name;
  Layout layout;
  std::vector<CodecKind> kinds;
};

const std::vector<Planes>& AllPlanes() {
  constexpr CodecKind kStored = CodecKind::kStored, kTans = CodecKind::kTans, kHuffman = CodecKind::kHuffman,
                      kZstd = CodecKind::kZstd;
  static const std::vector<Planes> all = {
      {"Bf16Tans", {2, true}, {kStored, kTans}},
      {"Bf16Huffman", {2, true}, {kStored, kHuffman}},
      {"BothTans", {2}, {kTans}},
      {"TansAndHuffman", {2}, {kTans, kHuffman}},
      {"F32", {4, true}, {kStored, kZstd, kHuffman, kTans}},
      {"F64", {8, false}, {kStored, kTans}},
      {"DifferencesOfBytes", {1, false, true}, {kTans}},
      {"Differences", {2, false, true}, {kTans}},
      {"Blocks", {.block = {{2, 0}, {16, 1}}}, {kTans}},
      {"BlocksOfAll", {.block = {{1, 0}, {3, 1}, {1, 2}, {2, 3}}}, {kStored, kTans, kZstd, kHuffman}},
  };
  return all;
}

struct Segment {
  std::vector<PlaneDecoder> planes;
  std::vector<uint8_t> stored;
};

Segment MakeSegment(const Planes& of, const std::vector<uint8_t>& plain) {
  std::vector<Histogram> histograms(of.layout.plane_count());
  CountPlanes(of.layout, plain, histograms);
  Segment segment;
  std::vector<PlaneEncoder> encoders;
  for (size_t p = 0; p < histograms.size(); ++p) {
    const CodecKind kind = of.kinds[std::min(p, of.kinds.size() - 1)];
    encoders.push_back({kind, nullptr});
    segment.planes.push_back({kind, nullptr});
    if (kind != CodecKind::kTans && kind != CodecKind::kHuffman) continue;
    encoders[p].table = BuildTable(kind, histograms[p]);
    auto table = ParseTable(kind, SerializedTable(*encoders[p].table));
    EXPECT_TRUE(table.ok());
    segment.planes[p].table = *table;
  }
  Scratch scratch;
  EncodeSegment(of.layout, encoders, plain, scratch, segment.stored);
  return segment;
}

// From a fresh allocation that ends with the promised slack.
Status DecodeExactly(const Planes& of, const std::vector<PlaneDecoder>& planes, const std::vector<uint8_t>& stored,
                     Scratch& scratch, std::vector<uint8_t>& plain) {
  std::vector<uint8_t> slack(stored.size() + kReadSlackBytes);
  std::copy(stored.begin(), stored.end(), slack.begin());
  return DecodeSegment(of.layout, planes, ByteSpan(slack).first(stored.size()), scratch, plain);
}

class EveryKernelPieces : public testing::TestWithParam<std::string_view> {
 protected:
  void SetUp() override { ASSERT_TRUE(SelectKernels(GetParam()).ok()); }

 private:
  KernelsRestored restored_;
};

TEST_P(EveryKernelPieces, ComeBackAtEveryLength) {
  Scratch scratch;  // one for all, so that nothing may rest on what is in it
  for (const Planes& of : AllPlanes()) {
    for (size_t end : {kPieceBytes, 2 * kPieceBytes, kHuffmanPieceBytes}) {
      for (int beyond : {-257, -1, 0, 1, 256, 300}) {
        const size_t units = end + static_cast<size_t>(beyond);
        const std::vector<uint8_t> plain = BellBytes(units * of.layout.unit_bytes() + units % 2, 9, units);
        if (plain.size() > kDefaultSegmentBytes + kPieceBytes) continue;
        const Segment segment = MakeSegment(of, plain);
        std::vector<uint8_t> back(plain.size());
        const Status status = DecodeExactly(of, segment.planes, segment.stored, scratch, back);
        ASSERT_TRUE(status.ok()) << of.name << " " << units << ": " << status.error().message;
        ASSERT_TRUE(back == plain) << of.name << " " << units;
      }
    }
  }
}

TEST_P(EveryKernelPieces, AgreeWithScalarOnMutatedSegments) {
  Random random(5);
  Scratch scratch;
  for (const Planes& of : AllPlanes()) {
    const size_t units = 2 * kPieceBytes + 300;
    const std::vector<uint8_t> plain = BellBytes(units * of.layout.unit_bytes(), 30, 7);
    const Segment segment = MakeSegment(of, plain);
    for (int mutation = 0; mutation < 60; ++mutation) {
      std::vector<uint8_t> mutated = segment.stored;
      const size_t at = random.Below(static_cast<uint32_t>(random.Below(2) == 0 ? 48 : mutated.size()));
      mutated[at] ^= static_cast<uint8_t>(1 + random.Below(255));
      std::vector<uint8_t> expected(plain.size()), actual(plain.size());
      ASSERT_TRUE(SelectKernels("scalar").ok());
      const bool expected_ok = DecodeExactly(of, segment.planes, mutated, scratch, expected).ok();
      ASSERT_TRUE(SelectKernels(GetParam()).ok());
      ASSERT_EQ(DecodeExactly(of, segment.planes, mutated, scratch, actual).ok(), expected_ok) << of.name << " " << at;
      ASSERT_TRUE(!expected_ok || actual == expected) << of.name << " " << at;
    }
  }
}

// What is wrong in one plane is said whatever the others are, and in whichever piece it comes.
TEST_P(EveryKernelPieces, AreRefusedWhereOneIsCutShort) {
  Scratch scratch;
  const Planes of = {"", {2}, {CodecKind::kTans, CodecKind::kHuffman}};
  const std::vector<uint8_t> plain = BellBytes(40000, 30, 1);
  const Segment segment = MakeSegment(of, plain);
  for (size_t bytes : {size_t{2}, size_t{8000}, size_t{39000}, size_t{41000}, size_t{80000}}) {
    std::vector<uint8_t> back(bytes);
    const Status status = DecodeExactly(of, segment.planes, segment.stored, scratch, back);
    ASSERT_FALSE(status.ok()) << bytes;
    EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
  }
}

INSTANTIATE_TEST_SUITE_P(Codec, EveryKernelPieces, testing::ValuesIn(SupportedKernels()),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace entrofs::codec
