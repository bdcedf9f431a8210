#include "fs/prefetcher.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>

namespace entrofs::fs {
namespace {

constexpr uint64_t kSegments = 1000;

class PrefetcherTest : public testing::Test {
 protected:
  PrefetcherTest()
      : prefetcher_({[this](const Prefetcher::Target& target) { Loaded(target); },
                     [this](size_t /*file*/, Range segments) {
                       for (uint64_t i = segments.begin; i < segments.end; ++i) passed_.insert(i);
                     }}) {}

  void Loaded(const Prefetcher::Target& target) {
    std::lock_guard lock(mutex_);
    loaded_.insert(target.ordinal);
    changed_.notify_all();
  }

  bool IsLoadedSoon(uint64_t ordinal) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return loaded_.contains(ordinal); });
  }

  // What was loaded once nothing more is coming.
  std::set<uint64_t> Loaded() {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::lock_guard lock(mutex_);
    return loaded_;
  }

  void Read(uint64_t first, uint64_t last) { prefetcher_.OnRead(0, kSegments, {first, last + 1}, {}); }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<uint64_t> loaded_;
  std::set<uint64_t> passed_;
  Prefetcher prefetcher_;  // its thread uses the others
};

TEST_F(PrefetcherTest, ForwardRunsAreReadAhead) {
  for (uint64_t i = 10; i < 20; ++i) Read(i, i);
  EXPECT_TRUE(IsLoadedSoon(19 + Prefetcher::kMaxDepth));
  EXPECT_FALSE(Loaded().contains(20 + Prefetcher::kMaxDepth));
  EXPECT_TRUE(passed_.contains(15));
  EXPECT_FALSE(passed_.contains(18));
}

TEST_F(PrefetcherTest, BackwardRunsAreReadAheadToo) {
  for (uint64_t i = 30; i > 20; --i) Read(i, i);
  EXPECT_TRUE(IsLoadedSoon(21 - Prefetcher::kMaxDepth));
  EXPECT_TRUE(passed_.contains(25));
}

TEST_F(PrefetcherTest, LargeStepsPassEverySegmentBehindThem) {
  for (uint64_t i = 0; i < 40; i += 4) prefetcher_.OnRead(0, kSegments, {i, i + 5}, {.forward = 0, .backward = 0});
  for (uint64_t i = 4; i < 32; ++i) EXPECT_TRUE(passed_.contains(i)) << i;
  EXPECT_FALSE(passed_.contains(36));
  EXPECT_TRUE(Loaded().empty());
}

TEST_F(PrefetcherTest, LargeStepsBackwardLoadAsMuchAheadAtOnce) {
  for (uint64_t i = 90; i > 78; i -= 4) prefetcher_.OnRead(0, kSegments, {i - 3, i + 1}, {.forward = 0});
  EXPECT_TRUE(IsLoadedSoon(79 - Prefetcher::kMaxDepth));
  for (uint64_t i = 200; i < 240; i += 4) prefetcher_.OnRead(0, kSegments, {i, i + 4}, {.forward = 0});
  for (uint64_t ordinal : Loaded()) EXPECT_LT(ordinal, 100u);
}

TEST_F(PrefetcherTest, TwoNeighboursAreNotARun) {
  Read(10, 10);
  Read(11, 11);
  EXPECT_TRUE(Loaded().empty());
}

TEST_F(PrefetcherTest, RepeatedReadsOfOneSegmentAreNotARun) {
  for (int i = 0; i < 10; ++i) Read(10, 10);
  EXPECT_TRUE(Loaded().empty());
}

TEST_F(PrefetcherTest, RandomReadsLoadNothing) {
  for (uint64_t i = 0; i < 100; ++i) Read(i * 397 % kSegments, i * 397 % kSegments);
  EXPECT_TRUE(Loaded().empty());
}

TEST_F(PrefetcherTest, NothingOutsideTheFileIsLoaded) {
  for (uint64_t i = kSegments - 6; i < kSegments; ++i) Read(i, i);
  for (uint64_t i = 6; i-- > 0;) Read(i, i);
  for (uint64_t ordinal : Loaded()) EXPECT_LT(ordinal, kSegments);
}

TEST_F(PrefetcherTest, SeveralReadersAreFollowed) {
  for (uint64_t i = 0; i < 6; ++i) {
    Read(100 + i, 100 + i);
    EXPECT_TRUE(i < 2 || IsLoadedSoon(101 + i));
    Read(500 + i, 500 + i);
    EXPECT_TRUE(i < 2 || IsLoadedSoon(501 + i));
  }
}

TEST_F(PrefetcherTest, RequestsThatOvertakeEachOtherAreStillARun) {
  for (uint64_t i = 10; i < 40; i += 2) {
    Read(i + 1, i + 1);
    Read(i, i);
  }
  Read(40, 41);
  Read(42, 42);
  EXPECT_TRUE(IsLoadedSoon(43));
}

}  // namespace
}  // namespace entrofs::fs
