// Tables are small, parse back to what they were, and are refused when they are not tables.

#include <algorithm>
#include <cmath>

#include "codec/prefix_code.h"
#include "tests/codec/support.h"

namespace entrofs::codec {
namespace {

class EveryTable : public testing::TestWithParam<Shape> {};

TEST_P(EveryTable, ParsesBack) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    TableModel model = MakeModel(GetParam(), seed);
    std::vector<uint8_t> bytes = SerializeModel(model);
    ASSERT_LE(bytes.size(), kMaxTableBytes);
    Result<TableModel> parsed = ParseModel(model.kind, bytes);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(parsed->map.value_of, model.map.value_of);
    EXPECT_EQ(parsed->state_class, model.state_class);
    EXPECT_EQ(parsed->class_lengths, model.class_lengths);
    EXPECT_EQ(parsed->escape_lengths, model.escape_lengths);
    EXPECT_EQ(SerializeModel(*parsed), bytes);
  }
}

TEST_P(EveryTable, RefusesEveryTruncationAndExtension) {
  std::vector<uint8_t> bytes = SerializeModel(MakeModel(GetParam(), 3));
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(ParseTable(GetParam().kind, ByteSpan(bytes).first(size)).ok()) << size;
  }
  bytes.push_back(0);
  EXPECT_FALSE(ParseTable(GetParam().kind, bytes).ok());
}

TEST_P(EveryTable, EveryBitFlipIsRefusedOrAnotherTable) {
  std::vector<uint8_t> bytes = SerializeModel(MakeModel(GetParam(), 4));
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::vector<uint8_t> flipped = bytes;
    flipped[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
    Result<TableModel> parsed = ParseModel(GetParam().kind, flipped);
    if (!parsed) continue;
    EXPECT_EQ(SerializeModel(*parsed), flipped) << bit;
    MakeTables(*parsed);
  }
}

INSTANTIATE_TEST_SUITE_P(Codec, EveryTable, testing::ValuesIn(AllShapes()),
                         [](const auto& param) { return NameOf(param.param); });

TEST(Table, HasNoneForOtherKinds) {
  for (CodecKind kind : {CodecKind::kStored, CodecKind::kConstant, CodecKind::kZstd}) {
    EXPECT_FALSE(ParseTable(kind, SerializeModel(MakeModel(AllShapes()[0], 1))).ok());
  }
}

TEST(Table, OfNothingIsATable) {
  for (CodecKind kind : {CodecKind::kTans, CodecKind::kHuffman}) {
    auto table = BuildTable(kind, Histogram{});
    EXPECT_TRUE(ParseTable(kind, SerializedTable(*table)).ok());
  }
}

TEST(Table, OfOneValueTakesNoBits) {
  Histogram histogram = {};
  histogram[77] = 1000;
  for (CodecKind kind : {CodecKind::kTans, CodecKind::kHuffman}) {
    auto table = BuildTable(kind, histogram);
    EXPECT_EQ(EstimateBits(*table, histogram), 0);
    EXPECT_TRUE(ParseTable(kind, SerializedTable(*table)).ok());
  }
}

TEST(Table, FitsHugeCounts) {
  Histogram histogram = {};
  for (int value = 0; value < 256; ++value) histogram[value] = (uint64_t{1} << 50) >> (value / 4);
  for (CodecKind kind : {CodecKind::kTans, CodecKind::kHuffman}) {
    auto table = BuildTable(kind, histogram);
    EXPECT_LT(EstimateBits(*table, histogram), EntropyBits(histogram) * 1.03);
  }
}

TEST(Table, OfBellsIsSmall) {
  for (unsigned spread : {20u, 60u, 120u}) {
    Tables tables = MakeTables(CodecKind::kTans, BellBytes(1 << 20, spread, spread));
    EXPECT_LE(SerializedTable(*tables.encode).size(), 200u);
  }
}

TEST(PrefixCode, IsOptimalWhenTheLimitDoesNotBind) {
  const std::vector<uint64_t> weights = {1, 1, 2, 4, 8, 16};
  EXPECT_EQ(LimitedLengths(weights, 11), (std::vector<uint8_t>{5, 5, 4, 3, 2, 1}));
  EXPECT_EQ(LimitedLengths(weights, 3), (std::vector<uint8_t>{3, 3, 3, 3, 2, 2}));
}

TEST(PrefixCode, IsCompleteForAnyWeights) {
  Random random(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<uint64_t> weights(2 + random.Below(62));
    for (uint64_t& weight : weights) weight = 1 + (random.Next() >> random.Below(31));
    std::vector<uint8_t> lengths = LimitedLengths(weights, 6);
    EXPECT_TRUE(IsCompleteCode(lengths, 6));
    EXPECT_EQ(std::ranges::count(lengths, 0), 0);
  }
}

}  // namespace
}  // namespace entrofs::codec
