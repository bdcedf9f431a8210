#include "fs/drop_behind.h"

#include <gtest/gtest.h>

#include <vector>

namespace entrofs::fs {
namespace {

struct Range {
  uint64_t offset;
  uint64_t length;
};

class DropBehindTest : public testing::Test {
 protected:
  std::vector<Range> dropped_;
  DropBehind behind_{[this](uint64_t offset, uint64_t length) { dropped_.push_back({offset, length}); }};
};

TEST_F(DropBehindTest, DropsWholeChunksInOneCallAndKeepsTheNewest) {
  constexpr uint64_t kStep = 100'000;
  uint64_t end = 64 << 20;
  for (uint64_t at = 0; at < end; at += kStep) behind_.OnRead(at, kStep);
  uint64_t next = 0;
  for (const Range& range : dropped_) {
    EXPECT_EQ(range.offset, next);
    EXPECT_EQ(range.length, DropBehind::kDroppedAtOnce * DropBehind::kChunkBytes);
    next += range.length;
  }
  EXPECT_LE(next, end - DropBehind::kKeptChunks * DropBehind::kChunkBytes);
  EXPECT_GE(next, end - (DropBehind::kKeptChunks + DropBehind::kDroppedAtOnce) * DropBehind::kChunkBytes);
}

TEST_F(DropBehindTest, NothingIsDroppedBeforeItWasReadToTheEnd) {
  constexpr uint64_t kSegment = 200'000, kEnd = 100 * kSegment * 20;
  // Every third segment of a large archive, then the next ones, then the rest.
  for (uint64_t third = 0; third < 3; ++third) {
    EXPECT_TRUE(dropped_.empty());
    for (uint64_t at = third * kSegment; at < kEnd; at += 3 * kSegment) behind_.OnRead(at, kSegment);
  }
  uint64_t bytes = 0;
  for (const Range& range : dropped_) bytes += range.length;
  EXPECT_GE(bytes, kEnd - 20 * DropBehind::kChunkBytes);
}

TEST_F(DropBehindTest, WhatLiesBetweenSegmentsMayStayUnread) {
  for (uint64_t at = 0; at < 64 << 20; at += 1 << 20) behind_.OnRead(at + 10'000, (1 << 20) - 10'000);
  EXPECT_FALSE(dropped_.empty());
}

TEST_F(DropBehindTest, TheSameSegmentsReadAgainAndAgainDropNothing) {
  for (uint64_t i = 0; i < 10'000; ++i) behind_.OnRead(i % 40 * DropBehind::kChunkBytes, 250'000);
  EXPECT_TRUE(dropped_.empty());
}

TEST_F(DropBehindTest, RandomReadsOverAnythingTakeBoundedMemory) {
  for (uint64_t i = 0; i < 10 * DropBehind::kMaxPartlyRead; ++i) behind_.OnRead(i * DropBehind::kChunkBytes, 100);
  EXPECT_TRUE(dropped_.empty());
}

}  // namespace
}  // namespace entrofs::fs
