#include "fs/drop_behind.h"

#include <gtest/gtest.h>

#include <vector>

namespace entrofs::fs {
namespace {

struct Range {
  uint64_t offset;
  uint64_t length;
};

TEST(DropBehind, DropsWholeChunksInOneCallAndKeepsTheNewest) {
  std::vector<Range> dropped;
  DropBehind behind([&](uint64_t offset, uint64_t length) { dropped.push_back({offset, length}); });
  constexpr uint64_t kStep = 100'000;
  uint64_t end = 64 << 20;
  for (uint64_t at = 0; at < end; at += kStep) behind.OnRead(at);
  uint64_t next = 0;
  for (const Range& range : dropped) {
    EXPECT_EQ(range.offset, next);
    EXPECT_EQ(range.length, DropBehind::kDroppedAtOnce * DropBehind::kChunkBytes);
    next += range.length;
  }
  EXPECT_LE(next, end - DropBehind::kKeptChunks * DropBehind::kChunkBytes);
  EXPECT_GE(next, end - (DropBehind::kKeptChunks + DropBehind::kDroppedAtOnce) * DropBehind::kChunkBytes);
}

TEST(DropBehind, RandomReadsDropWhatWasReadLongestAgo) {
  std::vector<Range> dropped;
  DropBehind behind([&](uint64_t offset, uint64_t length) { dropped.push_back({offset, length}); });
  for (uint64_t i = 0; i < DropBehind::kKeptChunks + DropBehind::kDroppedAtOnce; ++i) {
    behind.OnRead(i * 10 * DropBehind::kChunkBytes + 5);
  }
  ASSERT_EQ(dropped.size(), DropBehind::kDroppedAtOnce);
  EXPECT_EQ(dropped[1].offset, 10 * DropBehind::kChunkBytes);
  EXPECT_EQ(dropped[1].length, DropBehind::kChunkBytes);
}

TEST(DropBehind, AFewChunksReadAgainAndAgainStay) {
  bool dropped = false;
  DropBehind behind([&](uint64_t, uint64_t) { dropped = true; });
  for (uint64_t i = 0; i < 1000; ++i) behind.OnRead(i % 10 * DropBehind::kChunkBytes);
  EXPECT_FALSE(dropped);
}

}  // namespace
}  // namespace entrofs::fs
