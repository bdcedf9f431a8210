#include "packer/pack/measure.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "packer/tree/output_tensor.h"

namespace entrofs::packer::pack {
namespace {

std::vector<uint8_t> Bytes(size_t count) {
  std::vector<uint8_t> bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
  return bytes;
}

TEST(Measure, CountsEveryByteOfEveryLayoutForAnyNumberOfThreads) {
  auto file = tree::BytesInMemory(Bytes((5 << 20) + 24));
  const codec::Layout layouts[] = {{1, false}, {4, true}};
  ThreadPool one(1);
  ThreadPool many(7);
  Result<Measurement> first = Measure(*file, layouts, one);
  Result<Measurement> second = Measure(*file, layouts, many);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->fingerprint, second->fingerprint);
  uint64_t total = 0;
  for (size_t l = 0; l < 2; ++l) {
    EXPECT_EQ(first->layouts[l].planes, second->layouts[l].planes);
    for (const codec::Histogram& plane : first->layouts[l].planes) {
      for (uint64_t count : plane) total += count;
    }
  }
  EXPECT_EQ(total, 2 * file->size());
}

TEST(Measure, FingerprintsTellContentAndLength) {
  ThreadPool pool(2);
  auto fingerprint = [&](std::vector<uint8_t> bytes) {
    return Measure(*tree::BytesInMemory(bytes), {}, pool)->fingerprint;
  };
  std::vector<uint8_t> bytes = Bytes(3 << 20);
  const uint64_t before = fingerprint(bytes);
  EXPECT_EQ(fingerprint(bytes), before);
  bytes.back() ^= 1;
  EXPECT_NE(fingerprint(bytes), before);
  EXPECT_NE(fingerprint({}), fingerprint({0}));
}

// Fails every read behind a point.
class BrokenFile : public RandomAccessFile {
 public:
  Status ReadAt(uint64_t offset, MutableByteSpan out) const override {
    std::fill(out.begin(), out.end(), uint8_t{0});
    return offset < (2 << 20) ? OkStatus() : Status(Error{ErrorCode::kIo, "broken"});
  }
  uint64_t size() const override { return 8 << 20; }
};

TEST(Measure, ReportsAFailedRead) {
  ThreadPool pool(3);
  EXPECT_EQ(Measure(BrokenFile(), {}, pool).error().message, "broken");
  EXPECT_FALSE(SameBytes(BrokenFile(), BrokenFile(), pool).ok());
}

TEST(SameBytes, ComparesAllOfThem) {
  ThreadPool pool(2);
  std::vector<uint8_t> bytes = Bytes((2 << 20) + 1);
  auto a = tree::BytesInMemory(bytes);
  EXPECT_TRUE(*SameBytes(*a, *tree::BytesInMemory(bytes), pool));
  bytes.back() ^= 1;
  EXPECT_FALSE(*SameBytes(*a, *tree::BytesInMemory(bytes), pool));
  bytes.pop_back();
  EXPECT_FALSE(*SameBytes(*a, *tree::BytesInMemory(bytes), pool));
  EXPECT_TRUE(*SameBytes(*tree::BytesInMemory({}), *tree::BytesInMemory({}), pool));
}

}  // namespace
}  // namespace entrofs::packer::pack
