// Segments of every layout and kind come back as they were; others are refused.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "codec/codec.h"
#include "codec/kernels/kernels.h"
#include "tests/codec/support.h"

namespace entrofs::codec {
namespace {

std::vector<uint8_t> WeightLike(size_t n, uint32_t seed, double sigma) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(128, sigma);
  std::vector<uint8_t> bytes(n);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(std::clamp(normal(random), 0.0, 255.0));
  return bytes;
}

std::vector<uint8_t> WithSlack(const std::vector<uint8_t>& bytes) {
  std::vector<uint8_t> copy = bytes;
  copy.resize(bytes.size() + kReadSlackBytes);
  return copy;
}

struct Case {
  Layout layout;
  CodecKind kind;
};

TEST(Kernels, OfTheVariableAreRefusedWhenThereAreNone) {
  const char* const before = std::getenv("ENTROFS_KERNELS");
  const std::string kept = before != nullptr ? before : "";
  ::setenv("ENTROFS_KERNELS", "mmx", 1);
  const Status refused = CheckKernelsVariable();
  ::setenv("ENTROFS_KERNELS", "scalar", 1);
  const Status accepted = CheckKernelsVariable();
  ::unsetenv("ENTROFS_KERNELS");
  EXPECT_TRUE(CheckKernelsVariable().ok());
  if (before != nullptr) ::setenv("ENTROFS_KERNELS", kept.c_str(), 1);
  EXPECT_TRUE(accepted.ok());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused.error().message.find("ENTROFS_KERNELS=mmx: "), 0u);
  for (std::string_view kernels : SupportedKernels()) {
    EXPECT_NE(refused.error().message.find(kernels), std::string::npos) << kernels;
  }
}

class EveryLayoutAndKind : public testing::TestWithParam<Case> {};

TEST_P(EveryLayoutAndKind, RoundTripsAtEveryLength) {
  const auto& [layout, kind] = GetParam();
  for (size_t n : {1, 2, 3, 7, 8, 9, 63, 64, 255, 256, 257, 511, 512, 513, 1000, 4096, 65536, 65537, 262144}) {
    std::vector<uint8_t> plain = WeightLike(n, static_cast<uint32_t>(n), 6);
    std::vector<Histogram> histograms(layout.plane_count());
    CountPlanes(layout, plain, histograms);
    std::vector<PlaneEncoder> encoders;
    std::vector<PlaneDecoder> decoders;
    for (const Histogram& histogram : histograms) {
      PlaneEncoder encoder{kind, nullptr};
      PlaneDecoder decoder{kind, nullptr};
      if (kind == CodecKind::kTans || kind == CodecKind::kHuffman) {
        encoder.table = BuildTable(kind, histogram);
        auto table = ParseTable(kind, SerializedTable(*encoder.table));
        ASSERT_TRUE(table.ok());
        decoder.table = *table;
      }
      encoders.push_back(encoder);
      decoders.push_back(decoder);
    }
    Scratch scratch;
    std::vector<uint8_t> stored;
    EncodeSegment(layout, encoders, plain, scratch, stored);
    std::vector<uint8_t> slack = WithSlack(stored);
    std::vector<uint8_t> back(n);
    Status status = DecodeSegment(layout, decoders, ByteSpan(slack).first(stored.size()), scratch, back);
    ASSERT_TRUE(status.ok()) << status.error().message << " n=" << n;
    ASSERT_EQ(back, plain) << "n=" << n;
  }
}

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (CodecKind kind : {CodecKind::kStored, CodecKind::kTans, CodecKind::kHuffman, CodecKind::kZstd}) {
    for (Layout layout :
         {Layout{1, false}, Layout{2, false}, Layout{2, true}, Layout{4, false}, Layout{4, true}, Layout{8, false},
          Layout{8, true}, Layout{1, false, true}, Layout{2, false, true}, Layout{4, false, true},
          Layout{8, false, true}, Layout{.trellis = true}, Layout{.block = {{1, 0}, {1, 1}, {32, 2}}},
          Layout{.block = {{128, 0}, {64, 1}, {16, 2}, {1, 3}, {1, 4}}}, Layout{.block = {{1, 0}, {3, 1}, {1, 0}}},
          Layout{.block = {{4096, 0}}}}) {
      cases.push_back({layout, kind});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Codec, EveryLayoutAndKind, testing::ValuesIn(AllCases()), [](const auto& param) {
  return std::string(Name(param.param.kind)) + std::to_string(param.param.layout.element_bytes) +
         (param.param.layout.rotate_sign ? "Rotated" : "") + (param.param.layout.delta ? "Delta" : "") +
         (param.param.layout.trellis ? "Trellis" : "") +
         (param.param.layout.block.empty() ? "" : "Block" + std::to_string(param.param.layout.unit_bytes()));
});

class EveryKernelSet : public testing::TestWithParam<std::string_view> {
 protected:
  void SetUp() override { ASSERT_TRUE(SelectKernels(GetParam()).ok()); }

 private:
  KernelsRestored restored_;
};

TEST_P(EveryKernelSet, SplitsAndMergesPlanesAtEveryLength) {
  for (unsigned element_bytes : {2u, 4u, 8u}) {
    for (bool rotate : {false, true}) {
      for (size_t count = 0; count < 200; ++count) {
        std::vector<uint8_t> plain(count * element_bytes);
        for (size_t i = 0; i < plain.size(); ++i) plain[i] = static_cast<uint8_t>(i * 73 + i / 256 + count);
        std::vector<std::vector<uint8_t>> bytes(element_bytes, std::vector<uint8_t>(count));
        std::vector<std::vector<uint8_t>> expected = bytes;
        std::vector<uint8_t*> planes;
        std::vector<uint8_t*> expected_planes;
        for (auto& plane : bytes) planes.push_back(plane.data());
        for (auto& plane : expected) expected_planes.push_back(plane.data());
        Active().split_planes(plain.data(), count, element_bytes, rotate, planes.data());
        kScalarKernels.split_planes(plain.data(), count, element_bytes, rotate, expected_planes.data());
        ASSERT_EQ(bytes, expected) << element_bytes << " " << count;
        std::vector<uint8_t> back(plain.size());
        Active().merge_planes(planes.data(), count, element_bytes, rotate, back.data());
        ASSERT_EQ(back, plain) << element_bytes << " " << count;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Codec, EveryKernelSet, testing::ValuesIn(SupportedKernels()),
                         [](const auto& param) { return std::string(param.param); });

// What lies behind the segment is not taken for its planes; AddressSanitizer sees who looks there.
TEST(DecodeSegment, RefusesPlanesThatAreLongerThanTheSegment) {
  const std::vector<uint8_t> plain = WeightLike(4096, 1, 60);
  for (CodecKind kind : {CodecKind::kStored, CodecKind::kConstant, CodecKind::kZstd}) {
    const PlaneEncoder encoder{kind, nullptr};
    const PlaneDecoder decoder{kind, nullptr};
    Scratch scratch;
    std::vector<uint8_t> stored;
    EncodeSegment({}, {&encoder, 1}, plain, scratch, stored);
    for (size_t size : {size_t{4}, size_t{5}, stored.size() / 2, stored.size() - 1}) {
      std::vector<uint8_t> cut = WithSlack({stored.begin(), stored.begin() + static_cast<ptrdiff_t>(size)});
      cut.shrink_to_fit();
      std::vector<uint8_t> back(plain.size());
      Status status = DecodeSegment({}, {&decoder, 1}, ByteSpan(cut).first(size), scratch, back);
      ASSERT_FALSE(status.ok()) << size;
      EXPECT_EQ(status.error().message, "segment: plane longer than the segment") << size;
    }
  }
}

TEST(Layout, RefusesOtherElementSizes) {
  for (uint8_t size : {0, 3, 5, 6, 7, 9, 255}) EXPECT_FALSE(ValidateLayout({size, false}).ok());
  EXPECT_FALSE(ValidateLayout({1, true}).ok());
  EXPECT_FALSE(ValidateLayout({2, true, true}).ok());
}

TEST(Layout, RefusesTrellisesOfAnythingButBytes) {
  EXPECT_TRUE(ValidateLayout({.trellis = true}).ok());
  EXPECT_FALSE(ValidateLayout({.element_bytes = 2, .trellis = true}).ok());
  EXPECT_FALSE(ValidateLayout({.delta = true, .trellis = true}).ok());
  EXPECT_FALSE(ValidateLayout({.trellis = true, .block = {{1, 0}}}).ok());
}

TEST(Layout, RefusesBrokenBlocks) {
  auto is_valid = [](std::vector<BlockField> block) { return ValidateLayout({.block = std::move(block)}).ok(); };
  EXPECT_FALSE(is_valid({{0, 0}}));
  EXPECT_FALSE(is_valid({{1, 1}}));             // plane 0 is empty
  EXPECT_FALSE(is_valid({{1, 0}, {1, 2}}));     // plane 1 is
  EXPECT_FALSE(is_valid({{4096, 0}, {1, 0}}));  // too long
  EXPECT_FALSE(is_valid({{1, 0}, {1, 255}}));   // too many planes
  EXPECT_FALSE(is_valid(std::vector<BlockField>(17, {1, 0})));
  EXPECT_TRUE(is_valid(std::vector<BlockField>(16, {256, 0})));
  EXPECT_FALSE(ValidateLayout({.element_bytes = 2, .block = {{1, 0}}}).ok());
}

TEST(EncodeSegment, PutsFieldsOfBlocksIntoTheirPlanes) {
  const Layout layout{.block = {{1, 0}, {2, 1}}};
  std::vector<uint8_t> stored;
  Scratch scratch;
  EncodeSegment(layout, std::vector<PlaneEncoder>(2), std::vector<uint8_t>{10, 1, 2, 11, 3, 4, 99}, scratch, stored);
  // Two plane headers (length x 16, kind stored), the planes, one byte left over.
  EXPECT_EQ(stored, (std::vector<uint8_t>{2 << 4, 0, 0, 0, 4 << 4, 0, 0, 0, 10, 11, 1, 2, 3, 4, 99}));
}

TEST(EncodeSegment, TakesIndicesOfATrellis) {
  std::vector<uint8_t> stored;
  Scratch scratch;
  // c = 0 1 0 0 1 1 1, so b = 0 0 0 1 1 0 1, and values are 2 e + b, but for the last one, which is even.
  const std::vector<uint8_t> values = {128, 130, 128, 129, 127, 130, 2};
  EncodeSegment({.trellis = true}, std::vector<PlaneEncoder>(1), values, scratch, stored);
  EXPECT_EQ(stored, (std::vector<uint8_t>{7 << 4, 0, 0, 0, 64, 65, 64, 64, 63, 65, 129}));
}

TEST(EncodeSegment, TakesDifferencesOfElements) {
  const Layout layout{.element_bytes = 2, .delta = true};
  std::vector<uint8_t> stored;
  Scratch scratch;
  // 0x0102, 0x0201: the difference is 0x00ff.
  EncodeSegment(layout, std::vector<PlaneEncoder>(2), std::vector<uint8_t>{2, 1, 1, 2}, scratch, stored);
  EXPECT_EQ(stored, (std::vector<uint8_t>{2 << 4, 0, 0, 0, 2 << 4, 0, 0, 0, 2, 0xff, 1, 0}));
}

}  // namespace
}  // namespace entrofs::codec
