// Format version 1 is frozen (docs/codec-format.md), and the encoder gives the same bytes on every CPU, with every
// compiler and kernel set. A better encoder may change the hashes; the small streams must decode for ever.

#include <array>

#include "tests/codec/support.h"

namespace entrofs::codec {
namespace {

uint64_t Fnv1a(uint64_t hash, ByteSpan bytes) {
  for (uint8_t byte : bytes) hash = (hash ^ byte) * 0x100000001b3;
  return hash;
}

struct Golden {
  CodecKind kind;
  Layout layout;
  unsigned spread;
  size_t bytes;
  size_t stored_bytes;
  uint64_t hash;  // of the tables and the segment
};

class GoldenSegment : public testing::TestWithParam<Golden> {};

TEST_P(GoldenSegment, IsWhatItAlwaysWas) {
  const Golden& golden = GetParam();
  std::vector<uint8_t> plain = BellBytes(golden.bytes, golden.spread, golden.bytes);
  std::vector<Histogram> histograms(golden.layout.plane_count());
  CountPlanes(golden.layout, plain, histograms);
  uint64_t hash = 0xcbf29ce484222325;
  std::vector<PlaneEncoder> encoders;
  std::vector<PlaneDecoder> decoders;
  for (const Histogram& histogram : histograms) {
    encoders.push_back({golden.kind, BuildTable(golden.kind, histogram)});
    ByteSpan table = SerializedTable(*encoders.back().table);
    decoders.push_back({golden.kind, *ParseTable(golden.kind, table)});
    hash = Fnv1a(hash, table);
  }
  Scratch scratch;
  std::vector<uint8_t> stored;
  EncodeSegment(golden.layout, encoders, plain, scratch, stored);
  hash = Fnv1a(hash, stored);
  EXPECT_EQ(stored.size(), golden.stored_bytes);
  EXPECT_EQ(hash, golden.hash) << std::hex << "0x" << hash;

  stored.resize(stored.size() + kReadSlackBytes);
  std::vector<uint8_t> back(plain.size());
  ByteSpan segment = ByteSpan(stored).first(stored.size() - kReadSlackBytes);
  EXPECT_TRUE(DecodeSegment(golden.layout, decoders, segment, scratch, back).ok());
  EXPECT_EQ(back, plain);
}

constexpr Golden kGoldens[] = {
    {CodecKind::kTans, {1, false}, 8, 65536, 32155, 0x7b238a35765ed201},
    {CodecKind::kTans, {1, false}, 100, 70001, 64929, 0x1391065affa7359f},
    {CodecKind::kTans, {2, true}, 30, 9999, 8549, 0xf9891cbfbc0eeaa6},
    {CodecKind::kTans, {4, false}, 3, 262144, 89679, 0xede869066961088},
    {CodecKind::kHuffman, {1, false}, 8, 65536, 32416, 0x80f535d49ec805a8},
    {CodecKind::kHuffman, {1, false}, 100, 70001, 65109, 0x1b0c73e77d6b000a},
    {CodecKind::kHuffman, {2, true}, 30, 9999, 8444, 0x29a81c3d41ac5b81},
    {CodecKind::kHuffman, {8, true}, 3, 262144, 122863, 0x3732b996f90f5577},
};
INSTANTIATE_TEST_SUITE_P(Codec, GoldenSegment, testing::ValuesIn(kGoldens));

// Small enough to follow by hand: zigzag around 10, one raw bit, classes 0 (states 0 .. 31), 1 (32 .. 47) and the
// escape (48 .. 63); classes 2, 3 and 4 escape, with codes of 1, 2 and 2 bits.
TEST(Golden, SmallStreams) {
  const std::vector<uint8_t> tans_table = {0x01, 0x02, 0x0a, 0,    0,    0,    0,    0,    0,    0,
                                           0,    0x55, 0x55, 0x55, 0x55, 0xaa, 0xaa, 0xaa, 0xaa, 0x21,
                                           0xd2, 0xdf, 0xdf, 0xdf, 0xdf, 0xdf, 0xdf, 0x0c};
  const std::vector<uint8_t> huffman_table = {0x01, 0x02, 0x0a, 0x91, 0,    0x21, 0xd2,
                                              0xdf, 0xdf, 0xdf, 0xdf, 0xdf, 0xdf, 0x0c};
  // Ranks 0, 1, 2, 3, 4 (escape, class 2), 6 (class 3), 0, 0, 1, 1, 0, 0, 0, 1, 2, 0, 0, 0, 8 (class 4), 0.
  const std::vector<uint8_t> plain = {10, 9, 11, 8, 12, 13, 10, 10, 9, 9, 10, 10, 10, 9, 11, 10, 10, 10, 14, 10};
  const std::vector<uint8_t> tans_stream = {1,    5,    3,    1,    1,    1,    0x0a, 0x3f, 0x24, 0x0d, 0xf0,
                                            0xf8, 0xe0, 0xf0, 0xf0, 0x0a, 0x23, 0,    0,    1,    3};
  const std::vector<uint8_t> huffman_stream = {1, 1, 1, 1, 3, 1, 1, 1, 0xd4, 0x03, 0x10, 0x18, 0x0a, 0x23, 0, 0, 1, 3};

  TableModel model;
  model.kind = CodecKind::kTans;
  model.map.center = 10;
  model.map.raw_bits = 1;
  model.map.coded_classes = 2;
  ASSERT_TRUE(model.map.FillOrder());
  for (unsigned state = 0; state < kStates; ++state) {
    model.state_class[state] = static_cast<uint8_t>(state < 32 ? 0 : state < 48 ? 1 : 2);
  }
  model.escape_lengths.assign(126, 0);
  model.escape_lengths[0] = 1;
  model.escape_lengths[1] = 2;
  model.escape_lengths[2] = 2;
  Tables tans = MakeTables(model);
  EXPECT_EQ(tans.encode->serialized, tans_table);
  EXPECT_EQ(EncodeStream(*tans.encode, plain), tans_stream);
  std::vector<uint8_t> back(plain.size());
  ASSERT_TRUE(Decode(tans, SegmentOf(CodecKind::kTans, tans_stream), back).ok());
  EXPECT_EQ(back, plain);

  model.kind = CodecKind::kHuffman;
  model.class_lengths = {1, 2, 2};
  Tables huffman = MakeTables(model);
  EXPECT_EQ(huffman.encode->serialized, huffman_table);
  EXPECT_EQ(EncodeStream(*huffman.encode, plain), huffman_stream);
  std::fill(back.begin(), back.end(), 0);
  ASSERT_TRUE(Decode(huffman, SegmentOf(CodecKind::kHuffman, huffman_stream), back).ok());
  EXPECT_EQ(back, plain);
}

}  // namespace
}  // namespace entrofs::codec
