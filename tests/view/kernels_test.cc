// Every kernel set gives what the reference gives, and the reference what exact arithmetic does.

#include "view/kernels/kernels.h"

#include <gtest/gtest.h>

#include <cfenv>
#include <cmath>

#include "codec/codec.h"
#include "tests/support/reference_derive.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace entrofs::view {
namespace {

using archive::CodeForm;
using archive::FloatType;
using testing_support::Bytes;

// Bits of float32 scales: ordinary ones, short ones, denormal ones, the largest, zeros.
std::vector<uint32_t> Scales() {
  std::vector<uint32_t> scales = {0,          0x80000000, 1,          0x80000001, 3,          0x00010000, 0x007fffff,
                                  0x00800000, 0x00ffffff, 0x33000001, 0x337fffff, 0x38800000, 0x3f800000, 0xbf800001,
                                  0x477fe000, 0x7f7fffff, 0xff7fffff, 0x7f7f0000, 0x7e800001, 0x3c23d70a};
  const Bytes noise = testing_support::RandomBytes(4 * 300, 256, 7);
  for (size_t i = 0; i < 300; ++i) {
    const uint32_t bits = LoadLe<uint32_t>(noise.data() + 4 * i);
    if ((bits & 0x7f800000) == 0x7f800000) continue;
    scales.push_back(bits);
    scales.push_back(bits & 0xffff0000);
    scales.push_back((bits & 0x807fffff) | 0x38000000);  // near the least numbers of F16
  }
  return scales;
}

constexpr int kZeros[] = {0, 8, 128, -128, 255, 3, -1};

Bytes AllCodes(CodeForm form, size_t count) {
  Bytes codes = testing_support::RandomBytes(count, 256, 11);
  if (form != CodeForm::kU4) {
    for (size_t i = 0; i < std::min<size_t>(count, 256); ++i) codes[i] = static_cast<uint8_t>(i);
  }
  return codes;
}

struct Case {
  CodeForm form;
  FloatType output;
};

Bytes RunWith(const Case& c, const Bytes& codes, size_t count, int zero, uint32_t scale) {
  Bytes out(count * archive::FloatBytes(c.output));
  // A set may take the longer way where the shorter one does as well.
  const bool is_long = (scale & 0x1fff) != 0 || (scale & 0x7f800000) == 0;
  DequantizeCall(static_cast<unsigned>(c.form),
                 static_cast<unsigned>(c.output))({codes.data(), count, zero, scale, is_long, out.data()});
  return out;
}

class DequantizeKernel : public testing::TestWithParam<Case> {
 protected:
  void TearDown() override { ASSERT_TRUE(codec::SelectKernels(codec::SupportedKernels().front()).ok()); }
};

TEST_P(DequantizeKernel, TheReferenceIsExactAndRoundsOnce) {
  ASSERT_TRUE(codec::SelectKernels("scalar").ok());
  const Bytes codes = AllCodes(GetParam().form, 600);
  for (uint32_t scale : Scales()) {
    for (size_t count : {size_t{40}, size_t{600}}) {
      const int zero = kZeros[(scale >> 5) % std::size(kZeros)];
      const Bytes out = RunWith(GetParam(), codes, count, zero, scale);
      const long double factor = testing_support::ReferenceFloat(FloatType::kF32, scale);
      for (size_t i = 0; i < count; ++i) {
        int code = GetParam().form == CodeForm::kU4 ? (codes[i / 2] >> (i % 2 * 4)) & 15 : codes[i];
        if (GetParam().form == CodeForm::kI8 && code > 127) code -= 256;
        const uint32_t wanted = testing_support::ReferenceRound(GetParam().output, factor * (code - zero));
        uint32_t got = 0;
        const size_t bytes = archive::FloatBytes(GetParam().output);
        std::memcpy(&got, out.data() + i * bytes, bytes);
        ASSERT_EQ(got, wanted) << std::hex << "scale " << scale << " code " << code << " zero " << zero;
      }
    }
  }
}

TEST_P(DequantizeKernel, AllSetsAgree) {
  const Bytes codes = AllCodes(GetParam().form, 1100);
  for (uint32_t scale : Scales()) {
    for (int zero : kZeros) {
      ASSERT_TRUE(codec::SelectKernels("scalar").ok());
      const Bytes wanted = RunWith(GetParam(), codes, 1061, zero, scale);
      for (std::string_view name : codec::SupportedKernels()) {
        ASSERT_TRUE(codec::SelectKernels(name).ok());
        ASSERT_TRUE(RunWith(GetParam(), codes, 1061, zero, scale) == wanted) << name << std::hex << " " << scale;
      }
    }
  }
}

TEST_P(DequantizeKernel, EveryLengthStaysInItsBounds) {
  const size_t bytes = archive::FloatBytes(GetParam().output);
  for (std::string_view name : codec::SupportedKernels()) {
    for (size_t count = 1; count < 150; ++count) {
      // Of exactly the size that is needed, so that sanitizers see each byte too many.
      const size_t code_bytes = GetParam().form == CodeForm::kU4 ? (count + 1) / 2 : count;
      const Bytes codes = testing_support::RandomBytes(code_bytes, 256, count);
      ASSERT_TRUE(codec::SelectKernels("scalar").ok());
      const Bytes wanted = RunWith(GetParam(), codes, count, 8, 0x3c23d70a);
      ASSERT_TRUE(codec::SelectKernels(name).ok());
      Bytes padded(count * bytes + 64, 0xcd);
      DequantizeCall(static_cast<unsigned>(GetParam().form), static_cast<unsigned>(GetParam().output))(
          {codes.data(), count, 8, 0x3c23d70a, true, padded.data()});
      ASSERT_TRUE(std::equal(wanted.begin(), wanted.end(), padded.begin())) << name << " " << count;
      ASSERT_EQ(std::count(padded.begin() + static_cast<ptrdiff_t>(wanted.size()), padded.end(), 0xcd), 64) << count;
    }
  }
}

TEST_P(DequantizeKernel, ScalesThatAreNoNumbersHaveADefinedResult) {
  const size_t bytes = archive::FloatBytes(GetParam().output);
  const Bytes codes = {0x7f, 0x05, 0x00};
  auto first = [&](uint32_t scale, int zero) {
    const Bytes out = RunWith(GetParam(), codes, 1, zero, scale);
    uint32_t got = 0;
    std::memcpy(&got, out.data(), bytes);
    return got;
  };
  const int own_code = GetParam().form == CodeForm::kU4 ? 15 : 127;
  const uint32_t nan = testing_support::ReferenceRound(GetParam().output, NAN);
  for (std::string_view name : codec::SupportedKernels()) {
    ASSERT_TRUE(codec::SelectKernels(name).ok());
    for (uint32_t scale : {0x7fc00000u, 0xffc00000u, 0x7f800001u}) EXPECT_EQ(first(scale, 0), nan) << name;
    EXPECT_EQ(first(0x7f800000, own_code), nan) << name << ": nothing times infinity";
    EXPECT_EQ(first(0x7f800000, 0), testing_support::ReferenceRound(GetParam().output, INFINITY)) << name;
    EXPECT_EQ(first(0xff800000, 0), testing_support::ReferenceRound(GetParam().output, -INFINITY)) << name;
  }
}

TEST_P(DequantizeKernel, WhatTheThreadHasSetDoesNotMatter) {
  const Bytes codes = AllCodes(GetParam().form, 300);
  for (std::string_view name : codec::SupportedKernels()) {
    ASSERT_TRUE(codec::SelectKernels(name).ok());
    for (uint32_t scale : {0x00010000u, 0x3c23d70au, 0x00800001u, 0x33000001u}) {
      const Bytes wanted = RunWith(GetParam(), codes, 300, 8, scale);
      std::fesetround(FE_UPWARD);
#if defined(__x86_64__)
      const unsigned saved = _mm_getcsr();
      _mm_setcsr(saved | 0x8040);  // flush denormal numbers to zero, take them for zero
#endif
      const Bytes got = RunWith(GetParam(), codes, 300, 8, scale);
#if defined(__x86_64__)
      _mm_setcsr(saved);
#endif
      EXPECT_EQ(std::fegetround(), FE_UPWARD) << "left as it was";
      std::fesetround(FE_TONEAREST);
      EXPECT_TRUE(got == wanted) << name << std::hex << " " << scale;
    }
  }
}

std::string NameOf(const testing::TestParamInfo<Case>& info) {
  const char* forms[] = {"U8", "I8", "U4"};
  const char* outputs[] = {"Bf16", "F16", "F32"};
  return std::string(forms[static_cast<int>(info.param.form)]) + "To" + outputs[static_cast<int>(info.param.output)];
}

INSTANTIATE_TEST_SUITE_P(Forms, DequantizeKernel,
                         testing::Values(Case{CodeForm::kU8, FloatType::kBf16}, Case{CodeForm::kU8, FloatType::kF16},
                                         Case{CodeForm::kU8, FloatType::kF32}, Case{CodeForm::kI8, FloatType::kBf16},
                                         Case{CodeForm::kI8, FloatType::kF16}, Case{CodeForm::kI8, FloatType::kF32},
                                         Case{CodeForm::kU4, FloatType::kBf16}, Case{CodeForm::kU4, FloatType::kF16},
                                         Case{CodeForm::kU4, FloatType::kF32}),
                         NameOf);

TEST(ViewKernels, FollowTheCodecsSet) {
  for (std::string_view name : codec::SupportedKernels()) {
    ASSERT_TRUE(codec::SelectKernels(name).ok());
    EXPECT_TRUE(Active().name == name || std::string_view(Active().name) == "scalar") << name;
  }
  ASSERT_TRUE(codec::SelectKernels(codec::SupportedKernels().front()).ok());
}

}  // namespace
}  // namespace entrofs::view
