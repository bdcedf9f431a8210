#include "fs/page_filler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "tests/fs/test_archive.h"

namespace entrofs::fs {
namespace {

constexpr uint64_t kSegment = 128 << 10;
constexpr uint64_t kFileBytes = 20 * kSegment + 5;

// A filler of a folder with plain files, "1" and "2", instead of a mount.
class PageFillerTest : public testing::Test {
 protected:
  PageFillerTest() {
    for (const char* name : {"1", "2"}) std::ofstream(folder_.path() / name) << std::string(kFileBytes, 'x');
  }

  PageFiller::Mount TestMount() const {
    return {.path_of = [this](uint64_t inode) { return (folder_.path() / std::to_string(inode)).string(); },
            .segment_at =
                [](uint64_t, uint64_t offset) {
                  const uint64_t begin = offset / kSegment * kSegment;
                  return Range{begin, std::min(begin + kSegment, kFileBytes)};
                },
            .size_of = [](uint64_t) { return kFileBytes; },
            .is_paused = [this] { return is_paused_.load(); },
            .read_ahead_bytes = 100'000};
  }

  // What is filled after the read, once nothing happens any more.
  static uint64_t FilledAfter(PageFiller& filler, uint64_t inode, uint64_t offset) {
    filler.OnSmallRead(inode, offset);
    return FilledAtLast(filler);
  }
  // The same of a large read.
  static uint64_t FilledAfter(PageFiller& filler, uint64_t inode, Range range) {
    filler.OnLargeRead(inode, range);
    return FilledAtLast(filler);
  }
  static uint64_t FilledAtLast(const PageFiller& filler) {
    uint64_t before = 0;
    for (int quiet = 0; quiet < 10; ++quiet) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      if (filler.filled_bytes() != before) quiet = 0;
      before = filler.filled_bytes();
    }
    return before;
  }

  TestFolder folder_;
  std::atomic<bool> is_paused_ = false;
};

TEST_F(PageFillerTest, TheSecondReadOfASegmentFillsItOnce) {
  PageFiller filler(TestMount());
  EXPECT_EQ(FilledAfter(filler, 1, 5 * kSegment + 4096), 0u);
  EXPECT_EQ(FilledAfter(filler, 1, 9 * kSegment), 0u);
  EXPECT_EQ(FilledAfter(filler, 2, 5 * kSegment), 0u);
  EXPECT_EQ(FilledAfter(filler, 1, 5 * kSegment + 8192), kSegment);
  EXPECT_EQ(FilledAfter(filler, 1, 5 * kSegment + 12288), kSegment);
  EXPECT_EQ(FilledAfter(filler, 2, 6 * kSegment - 1), 2 * kSegment);
}

TEST_F(PageFillerTest, NeighboursInOneDirectionFillMoreAndMore) {
  PageFiller filler(TestMount());
  EXPECT_EQ(FilledAfter(filler, 1, 0), 0u);
  EXPECT_EQ(FilledAfter(filler, 1, 4096), kSegment);
  EXPECT_EQ(FilledAfter(filler, 1, kSegment), 3 * kSegment);
  EXPECT_EQ(FilledAfter(filler, 1, 3 * kSegment), 7 * kSegment);
  EXPECT_EQ(FilledAfter(filler, 1, 7 * kSegment), 15 * kSegment);
  EXPECT_EQ(FilledAfter(filler, 1, 15 * kSegment), kFileBytes);
}

TEST_F(PageFillerTest, BackwardsToo) {
  PageFiller filler(TestMount());
  EXPECT_EQ(FilledAfter(filler, 1, 20 * kSegment), 0u);
  EXPECT_EQ(FilledAfter(filler, 1, 20 * kSegment), 5u);
  EXPECT_EQ(FilledAfter(filler, 1, 19 * kSegment + 100), 5 + kSegment);
  EXPECT_EQ(FilledAfter(filler, 1, 18 * kSegment), 5 + 3 * kSegment);
  EXPECT_EQ(FilledAfter(filler, 1, 16 * kSegment), 5 + 7 * kSegment);
  EXPECT_EQ(FilledAfter(filler, 1, 12 * kSegment), 5 + 15 * kSegment);
  EXPECT_EQ(FilledAfter(filler, 1, 4 * kSegment), kFileBytes);
}

TEST_F(PageFillerTest, LargeReadsInARowBackwardsFillMoreAndMoreBeforeThem) {
  PageFiller filler(TestMount());
  EXPECT_EQ(FilledAfter(filler, 1, {18 * kSegment, 19 * kSegment}), 0u);
  EXPECT_EQ(FilledAfter(filler, 1, {17 * kSegment, 18 * kSegment}), 0u);
  EXPECT_EQ(FilledAfter(filler, 1, {16 * kSegment, 17 * kSegment}), kSegment);
  EXPECT_EQ(FilledAfter(filler, 1, {15 * kSegment, 16 * kSegment}), kSegment) << "asked for by the filler itself";
  EXPECT_EQ(FilledAfter(filler, 1, {14 * kSegment, 15 * kSegment}), 3 * kSegment);
  EXPECT_EQ(FilledAfter(filler, 1, {11 * kSegment, 12 * kSegment}), 7 * kSegment);
  EXPECT_EQ(FilledAfter(filler, 1, {6 * kSegment, 7 * kSegment}), 13 * kSegment) << "up to the beginning";
}

TEST_F(PageFillerTest, LargeReadsForwardsDoSoWhereTheKernelReadsAheadLittle) {
  PageFiller filler(TestMount());
  EXPECT_EQ(FilledAfter(filler, 1, {0, kSegment}), 0u);
  EXPECT_EQ(FilledAfter(filler, 1, {kSegment, 2 * kSegment}), 0u);
  EXPECT_EQ(FilledAfter(filler, 1, {2 * kSegment, 3 * kSegment}), kSegment);
  EXPECT_EQ(FilledAfter(filler, 1, {4 * kSegment, 5 * kSegment}), 3 * kSegment);
  EXPECT_EQ(FilledAfter(filler, 1, {7 * kSegment, 8 * kSegment}), 7 * kSegment);
  EXPECT_EQ(FilledAfter(filler, 1, {12 * kSegment, 13 * kSegment}), 14 * kSegment + 5) << "up to the end";
}

TEST_F(PageFillerTest, LargeReadsForwardsAreLeftToAKernelThatReadsAheadFar) {
  PageFiller::Mount mount = TestMount();
  mount.read_ahead_bytes = 2 << 20;
  PageFiller filler(mount);
  for (uint64_t at = 0; at < 20; ++at) filler.OnLargeRead(1, {at * kSegment, (at + 1) * kSegment});
  EXPECT_EQ(FilledAtLast(filler), 0u);
}

TEST_F(PageFillerTest, LargeReadsHereAndThereFillNothing) {
  PageFiller filler(TestMount());
  for (uint64_t at : {19, 3, 15, 1, 11, 13, 5}) {
    filler.OnLargeRead(1, {at * kSegment, at * kSegment + 8 * 4096});
    filler.OnLargeRead(2, {at * kSegment, at * kSegment + 8 * 4096});
  }
  for (uint64_t at = 0; at < 20; ++at) filler.OnLargeRead(1 + at % 2, {at * kSegment, (at + 1) * kSegment});
  EXPECT_EQ(FilledAtLast(filler), 0u) << "neighbours, but of two files";
}

TEST_F(PageFillerTest, NothingIsFilledWhilePaused) {
  PageFiller filler(TestMount());
  (void)FilledAfter(filler, 1, 0);
  is_paused_ = true;
  EXPECT_EQ(FilledAfter(filler, 1, 1), 0u);
  is_paused_ = false;
  EXPECT_EQ(FilledAfter(filler, 1, 1), kSegment);
}

TEST_F(PageFillerTest, AFileThatCannotBeOpenedIsLeftAlone) {
  PageFiller filler(TestMount());
  for (int i = 0; i < 2; ++i) EXPECT_EQ(FilledAfter(filler, 3, 0), 0u);
  EXPECT_EQ(FilledAfter(filler, 1, 0), 0u);
  EXPECT_EQ(FilledAfter(filler, 1, 0), kSegment);
}

}  // namespace
}  // namespace entrofs::fs
