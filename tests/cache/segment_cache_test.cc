#include "cache/segment_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <new>
#include <random>
#include <thread>
#include <vector>

#include "base/buffer.h"
#include "cache/lru_policy.h"

namespace entrofs::cache {
namespace {

constexpr size_t kSize = 4096;

// Fills a segment with its number and counts how often it was asked to.
struct CountingDecoder {
  std::atomic<int> runs{0};
  SegmentCache::Decode operator()(SegmentId id) {
    return [this, id](MutableByteSpan plain) {
      ++runs;
      std::fill(plain.begin(), plain.end(), static_cast<uint8_t>(id));
      return OkStatus();
    };
  }
};

SegmentCache MakeCache(size_t budget_segments) {
  return SegmentCache(budget_segments * kSize, std::make_unique<LruPolicy>());
}

bool IsFilled(const Result<SegmentCache::Pinned>& pinned, SegmentId id) {
  if (!pinned.ok() || pinned->bytes().size() != kSize) return false;
  for (uint8_t byte : pinned->bytes()) {
    if (byte != static_cast<uint8_t>(id)) return false;
  }
  return true;
}

TEST(SegmentCache, SecondReaderDecodesNothing) {
  SegmentCache cache = MakeCache(4);
  CountingDecoder decoder;
  EXPECT_TRUE(IsFilled(cache.Get(7, kSize, decoder(7)), 7));
  EXPECT_TRUE(IsFilled(cache.Get(7, kSize, decoder(7)), 7));
  EXPECT_EQ(decoder.runs, 1);
  EXPECT_EQ(cache.counts().hits, 1u);
  EXPECT_EQ(cache.counts().misses, 1u);
  EXPECT_EQ(cache.counts().bytes, kSize);
}

TEST(SegmentCache, BytesLieInTheirPageAsWished) {
  SegmentCache cache = MakeCache(4);
  CountingDecoder decoder;
  for (const size_t lead : {size_t{0}, size_t{1237}, size_t{4095}}) {
    const auto pinned = cache.Get(lead, kSize, decoder(lead), lead);
    ASSERT_TRUE(IsFilled(pinned, lead));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(pinned->bytes().data()) % Buffer::kPageBytes, lead);
  }
}

TEST(SegmentCache, EightReadersOneDecode) {
  SegmentCache cache = MakeCache(4);
  CountingDecoder decoder;
  // Lasts until every reader waits for it or decodes itself.
  const SegmentCache::Decode slow = [&](MutableByteSpan plain) {
    Status status = decoder(3)(plain);
    while (static_cast<uint64_t>(decoder.runs) + cache.counts().joins < 8) std::this_thread::yield();
    return status;
  };
  std::latch started(8);
  std::atomic<int> correct{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 8; ++i) {
    readers.emplace_back([&] {
      started.arrive_and_wait();
      correct += IsFilled(cache.Get(3, kSize, slow), 3);
    });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(correct, 8);
  EXPECT_EQ(decoder.runs, 1);
}

TEST(SegmentCache, WaitersOfARunningDecodeShareItEvenWithoutBudget) {
  SegmentCache cache = MakeCache(0);
  CountingDecoder decoder;
  std::latch running(1);
  std::latch release(1);
  std::thread first([&] {
    auto pinned = cache.Get(1, kSize, [&](MutableByteSpan plain) {
      running.count_down();
      release.wait();
      return decoder(1)(plain);
    });
    EXPECT_TRUE(IsFilled(pinned, 1));
  });
  running.wait();
  std::thread second([&] { EXPECT_TRUE(IsFilled(cache.Get(1, kSize, decoder(1)), 1)); });
  while (cache.counts().joins == 0) std::this_thread::yield();
  release.count_down();
  first.join();
  second.join();
  EXPECT_EQ(decoder.runs, 1);
  EXPECT_EQ(cache.counts().bytes, 0u);
  EXPECT_FALSE(cache.Contains(1));
}

TEST(SegmentCache, FailuresReachEveryWaiterAndAreNotRemembered) {
  SegmentCache cache = MakeCache(4);
  std::latch running(1);
  std::latch release(1);
  auto failing = [&](MutableByteSpan) -> Status {
    running.count_down();
    release.wait();
    return Error{ErrorCode::kCorrupt, "bad"};
  };
  auto expect_corrupt = [&](const Result<SegmentCache::Pinned>& pinned) {
    ASSERT_FALSE(pinned.ok());
    EXPECT_EQ(pinned.error().code, ErrorCode::kCorrupt);
  };
  std::thread first([&] { expect_corrupt(cache.Get(1, kSize, failing)); });
  running.wait();
  std::thread second([&] { expect_corrupt(cache.Get(1, kSize, failing)); });
  while (cache.counts().joins == 0) std::this_thread::yield();
  release.count_down();
  first.join();
  second.join();
  CountingDecoder decoder;
  EXPECT_TRUE(IsFilled(cache.Get(1, kSize, decoder(1)), 1));
}

TEST(SegmentCache, ExceptionsOfADecoderBecomeErrors) {
  SegmentCache cache = MakeCache(4);
  auto pinned = cache.Get(1, kSize, [](MutableByteSpan) -> Status { throw std::bad_alloc(); });
  ASSERT_FALSE(pinned.ok());
  EXPECT_EQ(pinned.error().code, ErrorCode::kNoMemory);
  EXPECT_FALSE(cache.Contains(1));
}

TEST(SegmentCache, GivesUpTheLeastRecentlyAskedFor) {
  SegmentCache cache = MakeCache(2);
  CountingDecoder decoder;
  (void)cache.Get(1, kSize, decoder(1));
  (void)cache.Get(2, kSize, decoder(2));
  (void)cache.Get(1, kSize, decoder(1));
  (void)cache.Get(3, kSize, decoder(3));
  EXPECT_TRUE(cache.Contains(1));
  EXPECT_FALSE(cache.Contains(2));
  EXPECT_TRUE(cache.Contains(3));
  EXPECT_EQ(cache.counts().evictions, 1u);
}

TEST(SegmentCache, PinsOutliveEviction) {
  SegmentCache cache = MakeCache(1);
  CountingDecoder decoder;
  auto pinned = cache.Get(1, kSize, decoder(1));
  for (SegmentId id = 2; id < 10; ++id) (void)cache.Get(id, kSize, decoder(id));
  EXPECT_FALSE(cache.Contains(1));
  EXPECT_TRUE(IsFilled(pinned, 1));
}

TEST(SegmentCache, WholeSegmentsAreSharedButNotKeptByLru) {
  SegmentCache cache = MakeCache(2);
  CountingDecoder decoder;
  EXPECT_FALSE(cache.GetWhole(1, kSize, decoder(1)).has_value());
  EXPECT_EQ(decoder.runs, 0);
  (void)cache.Get(1, kSize, decoder(1));
  auto found = cache.GetWhole(1, kSize, decoder(1));
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(IsFilled(*found, 1));
  EXPECT_EQ(decoder.runs, 1);
}

TEST(SegmentCache, WhatIsPreparedIsThereForTheReader) {
  SegmentCache cache = MakeCache(2);
  CountingDecoder decoder;
  EXPECT_TRUE(cache.Prepare(1, kSize, decoder(1)).ok());
  EXPECT_TRUE(IsFilled(cache.Get(1, kSize, decoder(1)), 1));
  EXPECT_EQ(decoder.runs, 1);
}

TEST(SegmentCache, ShrinkingTheBudgetEvicts) {
  SegmentCache cache = MakeCache(4);
  CountingDecoder decoder;
  for (SegmentId id = 0; id < 4; ++id) (void)cache.Get(id, kSize, decoder(id));
  cache.SetBudget(kSize);
  EXPECT_EQ(cache.counts().bytes, kSize);
  EXPECT_TRUE(cache.Contains(3));
}

TEST(SegmentCache, WhatIsDroppedIsDecodedAgainAndItsMemoryReused) {
  constexpr size_t kLarge = 64 << 10;
  SegmentCache cache(1 << 20, std::make_unique<LruPolicy>());
  CountingDecoder decoder;
  const uint8_t* memory = cache.Get(1, kLarge, decoder(1))->bytes().data();
  cache.Drop(1);
  cache.Drop(2);
  EXPECT_EQ(cache.counts().bytes, 0u);
  EXPECT_EQ(cache.Get(1, kLarge, decoder(1))->bytes().data(), memory);
  EXPECT_EQ(decoder.runs, 2);
}

TEST(SegmentCache, ManyThreadsAlwaysSeeTheRightBytes) {
  SegmentCache cache = MakeCache(5);
  CountingDecoder decoder;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 500; ++i) {
        SegmentId id = random() % 16;
        wrong += !IsFilled(cache.Get(id, kSize, decoder(id)), id);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(cache.counts().bytes, 5 * kSize);
}

}  // namespace
}  // namespace entrofs::cache
