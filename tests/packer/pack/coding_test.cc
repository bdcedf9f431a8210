#include "packer/pack/coding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "packer/tree/output_tensor.h"
#include "tests/support/sample_checkpoint.h"

namespace entrofs::packer::pack {
namespace {

using codec::CodecKind;

std::vector<uint8_t> ToBytes(const std::string& text) { return {text.begin(), text.end()}; }

Coding Choose(const std::string& content, std::optional<source::Dtype> dtype, CodingOptions options = {}) {
  ThreadPool pool(1);
  std::vector<uint8_t> bytes = ToBytes(content);
  Result<Measurement> measurement = Measure(*tree::BytesInMemory(bytes), CandidateLayouts(dtype), pool);
  return ChooseCoding(*measurement, bytes, options);
}

std::string Random(size_t count) {
  std::mt19937 random(1);
  std::string bytes(count, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

std::string Weights(source::Dtype dtype) { return testing_support::Weights("w", dtype, {256, 256}, 1).bytes; }

TEST(ChooseCoding, CodesTheExponentsOfBf16AndStoresTheRest) {
  Coding coding = Choose(Weights(source::Dtype::kBf16), source::Dtype::kBf16);
  EXPECT_EQ(coding.layout, (codec::Layout{2, true}));
  ASSERT_EQ(coding.planes.size(), 2u);
  EXPECT_EQ(coding.planes[0].kind, CodecKind::kStored);
  EXPECT_EQ(coding.planes[1].kind, CodecKind::kTans);
  EXPECT_EQ(coding.CodecNames(), "stored+tans");
}

TEST(ChooseCoding, SeesThatF32WasBornBf16) {
  std::string narrow = Weights(source::Dtype::kBf16);
  std::string wide;
  for (size_t i = 0; i < narrow.size(); i += 2) wide += std::string(2, '\0') + narrow.substr(i, 2);
  Coding coding = Choose(wide, source::Dtype::kF32);
  EXPECT_EQ(coding.layout.element_bytes, 4);
  // Sixteen of 32 bits are known, and the others shrink as BF16 does.
  EXPECT_LT(coding.entropy_bits / 8 / static_cast<double>(wide.size()), 0.36);
}

TEST(ChooseCoding, FindsWeightsInFilesOfOtherKinds) {
  EXPECT_EQ(Choose(Weights(source::Dtype::kBf16), std::nullopt).layout, (codec::Layout{2, true}));
  EXPECT_EQ(Choose(Weights(source::Dtype::kF32), std::nullopt).layout, (codec::Layout{4, true}));
  EXPECT_EQ(Choose(std::string(100000, 'a') + Random(5000), std::nullopt).layout, codec::Layout{});
}

TEST(ChooseCoding, StoresWhatDoesNotGain) {
  for (std::optional<source::Dtype> dtype :
       {std::optional<source::Dtype>(), std::optional(source::Dtype::kF32), std::optional(source::Dtype::kU8)}) {
    Coding coding = Choose(Random(1 << 18), dtype);
    EXPECT_EQ(coding.layout, codec::Layout{});
    ASSERT_EQ(coding.planes.size(), 1u);
    EXPECT_EQ(coding.planes[0].kind, CodecKind::kStored);
  }
}

TEST(ChooseCoding, KnowsConstants) {
  EXPECT_EQ(Choose(std::string(4096, 'x'), source::Dtype::kU8).CodecNames(), "constant");
}

TEST(ChooseCoding, TakesZstdWhereBytesRepeatInRuns) {
  std::string block = Random(1000);
  std::string repeated;
  for (int i = 0; i < 100; ++i) repeated += block;
  EXPECT_EQ(Choose(repeated, std::nullopt).CodecNames(), "zstd");
}

TEST(ChooseCoding, KeepsToTheCodecAskedFor) {
  const std::string weights = Weights(source::Dtype::kBf16);
  EXPECT_EQ(Choose(weights, source::Dtype::kBf16, {.codec = CodecChoice::kHuffman}).CodecNames(), "stored+huffman");
  EXPECT_EQ(Choose(weights, source::Dtype::kBf16, {.codec = CodecChoice::kStored}).CodecNames(), "stored");
  std::string repeated(100000, 'a');
  repeated += "b";
  EXPECT_EQ(Choose(repeated, source::Dtype::kU8, {.codec = CodecChoice::kTans}).CodecNames(), "tans");
}

// `count` bytes below `values`, the lower ones more often: the more, the larger `skew`.
std::string Skewed(size_t count, int values, double skew) {
  std::mt19937 random(7);
  std::vector<double> weights;
  for (int value = 0; value < values; ++value) weights.push_back(std::pow(skew, -value));
  std::discrete_distribution<int> distribution(weights.begin(), weights.end());
  std::string bytes(count, 0);
  for (char& byte : bytes) byte = static_cast<char>(distribution(random));
  return bytes;
}

TEST(ChooseCoding, ForTheEdgeTakesHuffmanUnlessItIsMuchLarger) {
  const CodingOptions edge{.codec = CodecChoice::kAutoEdge};
  const std::string even = Skewed(1 << 18, 40, 1.1);
  EXPECT_EQ(Choose(even, source::Dtype::kU8).CodecNames(), "tans");
  EXPECT_EQ(Choose(even, source::Dtype::kU8, edge).CodecNames(), "huffman");
  // Nearly always zero: a code word of one bit is too long.
  const std::string uneven = Skewed(1 << 18, 3, 9);
  EXPECT_EQ(Choose(uneven, source::Dtype::kU8, edge).CodecNames(), "tans");
}

TEST(SharedTables, GiveAllTensorsTheSameTable) {
  ThreadPool pool(1);
  SharedTables shared(1);
  auto measure = [&](uint32_t seed) {
    std::string bytes = testing_support::Weights("w", source::Dtype::kBf16, {256, 256}, seed).bytes;
    return *Measure(*tree::BytesInMemory(ToBytes(bytes)), CandidateLayouts(source::Dtype::kBf16), pool);
  };
  Measurement first = measure(1);
  Measurement second = measure(2);
  shared.Add(first.layouts[0]);
  shared.Add(second.layouts[0]);
  CodingOptions options{.codec = CodecChoice::kTans, .shared = &shared, .only_shared = true};
  EXPECT_EQ(ChooseCoding(first, {}, options).planes[1].table, ChooseCoding(second, {}, options).planes[1].table);
  EXPECT_EQ(shared.Find(CodecKind::kTans, {8, true}, 0, {}), nullptr);
}

TEST(SharedTables, KeepPlanesOfOtherStatisticsApart) {
  codec::Histogram low{}, high{};
  for (size_t i = 0; i < 8; ++i) low[i] = high[200 + i] = 1000;
  SharedTables shared(4);
  for (int i = 0; i < 3; ++i) {
    shared.Add({codec::Layout{}, {low}});
    shared.Add({codec::Layout{}, {high}});
  }
  const std::vector<CodecKind> kinds = {CodecKind::kTans, CodecKind::kHuffman};
  for (CodecKind kind : kinds) {
    auto for_low = shared.Find(kind, {}, 0, low);
    auto for_high = shared.Find(kind, {}, 0, high);
    EXPECT_NE(for_low, for_high);
    codec::Histogram stranger = low;
    stranger[100] = 1;
    EXPECT_EQ(shared.Find(kind, {}, 0, stranger), nullptr);
    // Eight values of equal frequency are three bits each.
    EXPECT_NEAR(codec::EstimateBits(*for_low, low), 3 * 8000, 300);
    EXPECT_NEAR(codec::EstimateBits(*for_high, high), 3 * 8000, 300);
  }
}

TEST(ChooseCoding, TakesASharedTableInsteadOfASmallTensorsOwn) {
  ThreadPool pool(1);
  const std::vector<uint8_t> bytes = ToBytes(testing_support::Weights("w", source::Dtype::kBf16, {1024}, 3).bytes);
  Measurement measurement = *Measure(*tree::BytesInMemory(bytes), CandidateLayouts(source::Dtype::kBf16), pool);
  SharedTables shared(4);
  for (uint32_t seed = 4; seed < 20; ++seed) {
    const std::string other = testing_support::Weights("w", source::Dtype::kBf16, {1024}, seed).bytes;
    shared.Add(Measure(*tree::BytesInMemory(ToBytes(other)), CandidateLayouts(source::Dtype::kBf16), pool)->layouts[0]);
  }
  shared.Add(measurement.layouts[0]);
  const CodingOptions options{.codec = CodecChoice::kTans, .shared = &shared};
  EXPECT_EQ(ChooseCoding(measurement, {}, options).planes[1].table,
            shared.Find(CodecKind::kTans, {2, true}, 1, measurement.layouts[0].planes[1]));
}

TEST(CodecChoice, NamesAreReadBack) {
  for (const char* name : {"auto", "tans", "huffman", "stored"}) EXPECT_EQ(Name(*ParseCodecChoice(name)), name);
  EXPECT_FALSE(ParseCodecChoice("zip").has_value());
}

}  // namespace
}  // namespace entrofs::packer::pack
