// What whole archives of made-up tensors of every kind of element come to.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <random>

#include "packer/pack/pack.h"
#include "packer/read/extract.h"
#include "packer/read/verify.h"
#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::packer::pack {
namespace {

using testing_support::SafetensorsFile;
using testing_support::TemporaryFolder;

constexpr size_t kCount = 1 << 18;

template <typename T>
std::string Elements(const std::function<T(size_t)>& element, size_t count = kCount) {
  std::string bytes(count * sizeof(T), '\0');
  for (size_t i = 0; i < count; ++i) {
    const T value = element(i);
    std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
  return bytes;
}

// A bell curve, the same everywhere: a sum of uniform numbers.
class Bell {
 public:
  explicit Bell(uint32_t seed = 1) : random_(seed) {}
  double operator()() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += static_cast<double>(random_()) / 4294967296.0;
    return sum;
  }
  uint32_t Bits() { return static_cast<uint32_t>(random_()); }

 private:
  std::mt19937 random_;
};

float BornBf16(double value) {
  return std::bit_cast<float>(std::bit_cast<uint32_t>(static_cast<float>(value)) & 0xffff0000u);
}

// Numbers of `exponent` and `mantissa` bits below the sign, the way 8-bit floats count: as codes that grow with the
// logarithm.
uint8_t SmallFloat(double value, int mantissa, int bias) {
  int exponent;
  const double fraction = std::frexp(std::abs(value), &exponent);
  const int code = std::max(
      0, ((exponent + bias) << mantissa) + static_cast<int>((2 * fraction - 1) * static_cast<double>(1 << mantissa)));
  return static_cast<uint8_t>((value < 0 ? 0x80 : 0) | std::min(code, 126));
}

struct Case {
  const char* name;
  source::Dtype dtype;
  std::function<std::string()> bytes;
  double most;  // of the tensor's bytes, whole archive
};

// Half floats of numbers born BF16: seven bits of mantissa and three zeros.
uint16_t HalfBornBf16(double value) {
  const uint32_t bits = std::bit_cast<uint32_t>(BornBf16(value));
  const int exponent = static_cast<int>(bits >> 23 & 0xff) - 127 + 15;
  if (exponent <= 0) return 0;
  return static_cast<uint16_t>((bits >> 16 & 0x8000) | static_cast<uint32_t>(exponent) << 10 | (bits >> 13 & 0x3ff));
}

std::string PackedNibbles() {
  Bell bell;
  return Elements<uint8_t>([&](size_t) {
    auto nibble = [&] { return static_cast<unsigned>(std::clamp(std::lround(8 + 2 * bell()), 0l, 15l)); };
    const unsigned low = nibble();
    return static_cast<uint8_t>(low | nibble() << 4);
  });
}

const Case kCases[] = {
    {"Bf16", source::Dtype::kBf16,
     [] {
       return testing_support::Weights("w", source::Dtype::kBf16, {512, 512}, 1).bytes;
     },
     0.68},
    {"F16", source::Dtype::kF16,
     [] {
       return testing_support::Weights("w", source::Dtype::kF16, {512, 512}, 1).bytes;
     },
     0.90},
    {"F16BornBf16", source::Dtype::kF16,
     [] {
       Bell b;
       return Elements<uint16_t>([&](size_t) { return HalfBornBf16(b()); });
     },
     0.70},
    {"F32", source::Dtype::kF32,
     [] {
       return testing_support::Weights("w", source::Dtype::kF32, {512, 512}, 1).bytes;
     },
     0.86},
    {"F32BornBf16", source::Dtype::kF32,
     [] {
       Bell b;
       return Elements<float>([&](size_t) { return BornBf16(b()); });
     },
     0.35},
    {"F64", source::Dtype::kF64,
     [] {
       Bell b;
       return Elements<double>([&](size_t) { return b() * (1 + b.Bits() * 0x1p-52); });
     },
     0.97},
    {"F64BornF32", source::Dtype::kF64,
     [] {
       Bell b;
       return Elements<double>([&](size_t) { return static_cast<double>(BornBf16(b())); });
     },
     0.19},
    {"F8E4M3", source::Dtype::kF8E4M3,
     [] {
       Bell b;
       return Elements<uint8_t>([&](size_t) { return SmallFloat(b(), 3, 7); });
     },
     0.83},
    {"F8E5M2", source::Dtype::kF8E5M2,
     [] {
       Bell b;
       return Elements<uint8_t>([&](size_t) { return SmallFloat(b(), 2, 15); });
     },
     0.70},
    {"F8E8M0", source::Dtype::kF8E8M0,
     [] {
       Bell b;
       return Elements<uint8_t>([&](size_t) { return static_cast<uint8_t>(120 + std::lround(b())); });
     },
     0.30},
    {"I8", source::Dtype::kI8,
     [] {
       Bell b;
       return Elements<int8_t>([&](size_t) { return static_cast<int8_t>(std::lround(10 * b())); });
     },
     0.68},
    {"FourBitsInI32", source::Dtype::kI32, PackedNibbles, 0.78},
    {"FourBitsInU32", source::Dtype::kU32, PackedNibbles, 0.78},
    {"FourBitsInU8", source::Dtype::kU8, PackedNibbles, 0.78},
    {"F4", source::Dtype::kF4, PackedNibbles, 0.78},
    {"I16Indices", source::Dtype::kI16,
     [] {
       Bell b;
       return Elements<uint16_t>([&](size_t) { return static_cast<uint16_t>(b.Bits() % 300); });
     },
     0.60},
    {"I64Indices", source::Dtype::kI64,
     [] {
       Bell b;
       return Elements<uint64_t>([&](size_t) { return b.Bits() % 30000; });
     },
     0.24},
    // Gaps of up to 63: six bits each, with little besides.
    {"I64Sorted", source::Dtype::kI64,
     [] {
       Bell b;
       uint64_t at = 0;
       return Elements<uint64_t>([&](size_t) { return at += b.Bits() % 64; }, 1 << 16);
     },
     0.11},
    {"I64Range", source::Dtype::kI64, [] { return Elements<uint64_t>([](size_t i) { return i; }); }, 0.01},
    {"I32Groups", source::Dtype::kI32,
     [] { return Elements<uint32_t>([](size_t i) { return static_cast<uint32_t>(i / 128); }); }, 0.01},
    {"Bool", source::Dtype::kBool,
     [] {
       Bell b;
       return Elements<uint8_t>([&](size_t) { return static_cast<uint8_t>(b() > 1); });
     },
     0.13},
};

class Lossless : public testing::TestWithParam<Case> {
 protected:
  // Packs one tensor of these bytes and checks that it comes back; archive bytes over the file's.
  double Ratio(source::Dtype dtype, const std::string& bytes) {
    TemporaryFolder folder;
    std::filesystem::create_directories(folder.Path("source"));
    const std::string file = SafetensorsFile({{"t", dtype, {8 * bytes.size() / source::BitWidth(dtype)}, bytes}});
    testing_support::WriteFile(folder.Path("source/model.safetensors"), file);
    Result<source::Checkpoint> checkpoint = source::OpenCheckpoint(folder.Path("source"));
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.error().message;
    ThreadPool pool(2);
    read::NoProgress progress;
    Result<PackResult> result = Pack(tree::LosslessTree(*checkpoint), folder.Path("a.entro"), {}, pool, progress);
    EXPECT_TRUE(result.ok()) << result.error().message;
    auto reader = read::OpenArchive(folder.Path("a.entro"));
    EXPECT_TRUE(read::Extract(**view::ViewReader::Open(**reader, ""), folder.Path("target"), pool, progress).ok());
    EXPECT_EQ(testing_support::Difference(folder.Path("source"), folder.Path("target")), "");
    return static_cast<double>(result->archive_bytes) / static_cast<double>(file.size());
  }
};

TEST_P(Lossless, ShrinksWhatItHoldsAsFarAsItGoes) {
  EXPECT_LE(Ratio(GetParam().dtype, GetParam().bytes()), GetParam().most);
}

INSTANTIATE_TEST_SUITE_P(Tensors, Lossless, testing::ValuesIn(kCases),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_F(Lossless, NothingGrowsByAThousandth) {
  Bell bell;
  const std::string noise = Elements<uint32_t>([&](size_t) { return bell.Bits(); });
  for (source::Dtype dtype :
       {source::Dtype::kU8, source::Dtype::kBf16, source::Dtype::kF32, source::Dtype::kF64, source::Dtype::kI64}) {
    EXPECT_LE(Ratio(dtype, noise), 1.001) << Name(dtype);
  }
}

}  // namespace
}  // namespace entrofs::packer::pack
