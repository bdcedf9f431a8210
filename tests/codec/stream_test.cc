// tans and huffman streams: what was coded comes back, and nothing else does any harm.

#include <algorithm>
#include <optional>

#include "codec/bits.h"
#include "codec/kernels/kernels.h"
#include "tests/codec/support.h"

namespace entrofs::codec {
namespace {

std::vector<size_t> InterestingLengths() {
  std::vector<size_t> lengths;
  for (size_t n = 1; n <= 600; ++n) lengths.push_back(n);
  for (size_t n :
       {767, 768, 769, 1023, 1024, 1025, 2047, 2048, 2049, 4095, 4096, 4097, 8191, 8192, 8193, 65536, 65537}) {
    lengths.push_back(n);
  }
  return lengths;
}

// Tables of random models, made anew only for another model than before: that takes longer than what is tested.
class LastTables {
 public:
  const Tables& Of(const Shape& shape, uint64_t model) {
    if (!tables_ || model != model_) tables_ = MakeTables(MakeModel(shape, model_ = model));
    return *tables_;
  }

 private:
  uint64_t model_ = 0;
  std::optional<Tables> tables_;
};

class EveryShape : public testing::TestWithParam<Shape> {
 protected:
  CodecKind kind() const { return GetParam().kind; }
};

TEST_P(EveryShape, RoundTripsAtEveryLength) {
  uint64_t seed = 0;
  LastTables last;
  for (size_t n : InterestingLengths()) {
    const Tables& tables = last.Of(GetParam(), ++seed / 16);
    std::vector<uint8_t> plain = CodableBytes(*tables.encode, n, seed);
    std::vector<uint8_t> stored = SegmentOf(kind(), EncodeStream(*tables.encode, plain));
    std::vector<uint8_t> back(n);
    Status status = Decode(tables, stored, back, 0xcc);
    ASSERT_TRUE(status.ok()) << status.error().message << " n=" << n;
    ASSERT_EQ(back, plain) << "n=" << n;
  }
}

TEST_P(EveryShape, RefusesEveryTruncation) {
  Tables tables = MakeTables(MakeModel(GetParam(), 7));
  std::vector<uint8_t> plain = CodableBytes(*tables.encode, 1234, 7);
  std::vector<uint8_t> stream = EncodeStream(*tables.encode, plain);
  for (size_t size = 0; size < stream.size(); ++size) {
    std::vector<uint8_t> shorter(stream.begin(), stream.begin() + static_cast<ptrdiff_t>(size));
    std::vector<uint8_t> back(plain.size());
    EXPECT_FALSE(Decode(tables, SegmentOf(kind(), shorter), back).ok()) << size;
  }
}

TEST_P(EveryShape, RefusesLongerStreams) {
  Tables tables = MakeTables(MakeModel(GetParam(), 8));
  std::vector<uint8_t> plain = CodableBytes(*tables.encode, 1000, 8);
  std::vector<uint8_t> stream = EncodeStream(*tables.encode, plain);
  stream.push_back(0);
  std::vector<uint8_t> back(plain.size());
  EXPECT_FALSE(Decode(tables, SegmentOf(kind(), stream), back).ok());
}

TEST_P(EveryShape, SurvivesEveryBitFlip) {
  Tables tables = MakeTables(MakeModel(GetParam(), 9));
  std::vector<uint8_t> plain = CodableBytes(*tables.encode, 1030, 9);
  std::vector<uint8_t> stored = SegmentOf(kind(), EncodeStream(*tables.encode, plain));
  for (size_t bit = 0; bit < stored.size() * 8; ++bit) {
    std::vector<uint8_t> flipped = stored;
    flipped[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
    std::vector<uint8_t> back(plain.size());
    (void)Decode(tables, flipped, back);
  }
}

INSTANTIATE_TEST_SUITE_P(Codec, EveryShape, testing::ValuesIn(AllShapes()),
                         [](const auto& param) { return NameOf(param.param); });

// A tans stream without escapes of which only the first `kept` bytes of its coded part are left, and which says so.
std::vector<uint8_t> WithShorterMain(const std::vector<uint8_t>& stream, size_t kept) {
  constexpr size_t kStatesBytes = kLanes * 6 / 8;
  ByteReader reader(stream);
  std::vector<uint8_t> shorter = {reader.ReadU8()};  // rounds of the tail
  bool ok = true;
  const uint32_t main_bytes = ReadVarint(reader, ok);
  kept = std::min<size_t>(kept, main_bytes);
  PutVarint(static_cast<uint32_t>(kept), shorter);
  const auto rest = stream.end() - static_cast<ptrdiff_t>(reader.remaining());
  shorter.insert(shorter.end(), rest, rest + static_cast<ptrdiff_t>(kStatesBytes + kept));
  shorter.insert(shorter.end(), rest + static_cast<ptrdiff_t>(kStatesBytes + main_bytes), stream.end());  // raw bits
  return shorter;
}

// For what vector kernels do, against what the scalar ones do.
class EveryKernel : public testing::TestWithParam<std::string_view> {
 protected:
  // Decodes with the kernel set under test and with the scalar one; both must agree on success and, then, on bytes.
  void ExpectLikeScalar(const Tables& tables, const std::vector<uint8_t>& stored, size_t n) {
    std::vector<uint8_t> expected(n);
    ASSERT_TRUE(SelectKernels("scalar").ok());
    bool expected_ok = Decode(tables, stored, expected, 0x55).ok();
    std::vector<uint8_t> actual(n);
    ASSERT_TRUE(SelectKernels(GetParam()).ok());
    bool actual_ok = Decode(tables, stored, actual, 0xaa).ok();
    ASSERT_EQ(actual_ok, expected_ok);
    if (expected_ok) {
      ASSERT_EQ(actual, expected);
    }
  }

  // The stream that the kernel set under test makes; it must be the scalar one's.
  std::vector<uint8_t> ExpectSameStream(const Tables& tables, const std::vector<uint8_t>& plain) {
    EXPECT_TRUE(SelectKernels("scalar").ok());
    const std::vector<uint8_t> expected = EncodeStream(*tables.encode, plain);
    EXPECT_TRUE(SelectKernels(GetParam()).ok());
    EXPECT_TRUE(EncodeStream(*tables.encode, plain) == expected) << "n=" << plain.size();
    return expected;
  }

 private:
  KernelsRestored restored_;
};

TEST_P(EveryKernel, AgreesWithScalarAtEveryLength) {
  for (const Shape& shape : AllShapes()) {
    LastTables last;
    for (size_t n = 1; n < 4200; n += n < 270 ? 1 : 67) {
      const Tables& tables = last.Of(shape, n / 128);
      std::vector<uint8_t> plain = CodableBytes(*tables.encode, n, n);
      ASSERT_NO_FATAL_FAILURE(ExpectLikeScalar(tables, SegmentOf(shape.kind, EncodeStream(*tables.encode, plain)), n))
          << NameOf(shape) << " n=" << n;
    }
  }
}

TEST_P(EveryKernel, EncodesLikeScalarAtEveryLength) {
  for (const Shape& shape : AllShapes()) {
    LastTables last;
    for (size_t n = 1; n < 2200; n += n < 270 ? 5 : 67) {
      const Tables& tables = last.Of(shape, n / 128);
      ExpectSameStream(tables, CodableBytes(*tables.encode, n, n));
      ASSERT_FALSE(HasFailure()) << NameOf(shape);
    }
  }
}

// Streams of many symbols whose coded part was cut to a few bytes, decoded by kernels and by what decodes the tail:
// nobody reads on behind the stream, which AddressSanitizer would see.
TEST_P(EveryKernel, StopsAtTheEndOfTheStream) {
  constexpr int kRounds = 100;  // which may all be the tail's
  constexpr size_t kBytes = kRounds * kRoundBytes;
  for (const Shape& shape : AllShapes()) {
    if (shape.kind != CodecKind::kTans || shape.escapes) continue;
    Tables tables = MakeTables(MakeModel(shape, 3));
    const std::vector<uint8_t> plain = CodableBytes(*tables.encode, kBytes, 3);
    for (int tail_rounds : {-1, kRounds}) {
      for (size_t kept : {size_t{0}, size_t{200}}) {
        std::vector<uint8_t> stream = WithShorterMain(EncodeStream(*tables.encode, plain), kept);
        if (tail_rounds >= 0) stream[0] = static_cast<uint8_t>(tail_rounds);
        ASSERT_NO_FATAL_FAILURE(ExpectLikeScalar(tables, SegmentOf(shape.kind, stream), kBytes)) << NameOf(shape);
        std::vector<uint8_t> back(kBytes);
        EXPECT_FALSE(Decode(tables, SegmentOf(shape.kind, stream), back).ok()) << NameOf(shape);
      }
    }
  }
}

// More than the three escapes in 64 bytes that kernels handle without a branch, up to nothing else.
TEST_P(EveryKernel, AgreesWithScalarWhereManyEscape) {
  for (const Shape& shape : AllShapes()) {
    if (!shape.escapes) continue;
    for (uint32_t any_value_each : {1u, 3u, 12u}) {
      Tables tables = MakeTables(MakeModel(shape, any_value_each));
      const std::vector<uint8_t> plain = CodableBytes(*tables.encode, 5000, any_value_each, any_value_each);
      const std::vector<uint8_t> stored = SegmentOf(shape.kind, ExpectSameStream(tables, plain));
      ASSERT_NO_FATAL_FAILURE(ExpectLikeScalar(tables, stored, plain.size())) << NameOf(shape);
      std::vector<uint8_t> back(plain.size());
      ASSERT_TRUE(Decode(tables, stored, back).ok());
      ASSERT_EQ(back, plain);
    }
  }
}

// Tables with 1 to 64 class symbols, which kernels look up differently.
TEST_P(EveryKernel, AgreesWithScalarForEveryNumberOfClasses) {
  for (CodecKind kind : {CodecKind::kTans, CodecKind::kHuffman}) {
    for (unsigned values = 1; values <= 64; ++values) {
      Random random(values);
      std::vector<uint8_t> plain(3000);
      for (uint8_t& byte : plain) byte = static_cast<uint8_t>(random.Below(values) * 37);
      Tables tables = MakeTables(kind, plain);
      const std::vector<uint8_t> stored = SegmentOf(kind, ExpectSameStream(tables, plain));
      ASSERT_NO_FATAL_FAILURE(ExpectLikeScalar(tables, stored, plain.size())) << values;
      ASSERT_FALSE(HasFailure());
    }
  }
}

TEST_P(EveryKernel, StoresWhatHasNoCode) {
  ASSERT_TRUE(SelectKernels(GetParam()).ok());
  for (CodecKind kind : {CodecKind::kTans, CodecKind::kHuffman}) {
    for (const std::vector<uint8_t>& training :
         {std::vector<uint8_t>{1, 2, 3, 3, 3, 2, 2, 1, 3}, BellBytes(4096, 9, 1), BellBytes(4096, 40, 2)}) {
      Tables tables = MakeTables(kind, training);
      for (int value = 0; value < 256; ++value) {
        if (tables.encode->classify.symbol_of_value[value] != kNoSymbol) continue;
        std::vector<uint8_t> plain(600, training[0]);
        plain[value] = static_cast<uint8_t>(value);
        plain[300] = training[1];
        ASSERT_EQ(Encode(tables, plain).size(), plain.size() + 4) << value;
      }
    }
  }
}

TEST_P(EveryKernel, AgreesWithScalarOnMutatedStreams) {
  Random random(1);
  for (const Shape& shape : AllShapes()) {
    for (uint64_t seed = 0; seed < 6; ++seed) {
      Tables tables = MakeTables(MakeModel(shape, seed));
      const size_t n = 300 + random.Below(9000);
      std::vector<uint8_t> stored =
          SegmentOf(shape.kind, EncodeStream(*tables.encode, CodableBytes(*tables.encode, n, seed)));
      for (int mutation = 0; mutation < 40; ++mutation) {
        std::vector<uint8_t> mutated = stored;
        for (uint32_t i = 0; i <= random.Below(3); ++i) {
          size_t at = random.Below(2) == 0 ? random.Below(24) : random.Below(static_cast<uint32_t>(stored.size()));
          mutated[std::min(at, stored.size() - 1)] = static_cast<uint8_t>(random.Next());
        }
        ASSERT_NO_FATAL_FAILURE(ExpectLikeScalar(tables, mutated, n)) << NameOf(shape) << " seed=" << seed;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Codec, EveryKernel, testing::ValuesIn(SupportedKernels()),
                         [](const auto& param) { return std::string(param.param); });

TEST(Stream, CostsAtMost130BytesMoreThanItsBits) {
  for (unsigned spread : {2u, 8u, 32u, 120u}) {
    std::vector<uint8_t> plain = BellBytes(kDefaultSegmentBytes, spread, spread);
    Tables tables = MakeTables(CodecKind::kTans, plain);
    Histogram histogram = {};
    CountBytes(plain, histogram);
    constexpr size_t kArchiveChecksumBytes = 8;
    double bits = EstimateBits(*tables.encode, histogram);
    size_t stored = Encode(tables, plain).size() + kArchiveChecksumBytes;
    EXPECT_LE(static_cast<double>(stored), bits / 8 + 130) << spread;
    EXPECT_LE(static_cast<double>(stored), EntropyBits(histogram) / 8 * 1.004) << spread;
  }
}

}  // namespace
}  // namespace entrofs::codec
