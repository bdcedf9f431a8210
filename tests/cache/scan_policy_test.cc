#include "cache/scan_policy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "cache/lru_policy.h"
#include "cache/segment_cache.h"

namespace entrofs::cache {
namespace {

constexpr size_t kSegmentBytes = 64;

// The share of requests that found their segment.
double HitRate(std::unique_ptr<CachePolicy> policy, size_t budget_segments, const std::vector<SegmentId>& trace) {
  SegmentCache cache(budget_segments * kSegmentBytes, std::move(policy));
  auto decode = [](MutableByteSpan) { return OkStatus(); };
  for (SegmentId id : trace) (void)cache.GetWhole(id, kSegmentBytes, decode);
  return static_cast<double>(cache.counts().hits) / static_cast<double>(trace.size());
}

// As if every segment were read in part, so that LRU keeps it, too.
double HitRateOfParts(std::unique_ptr<CachePolicy> policy, size_t budget_segments,
                      const std::vector<SegmentId>& trace) {
  SegmentCache cache(budget_segments * kSegmentBytes, std::move(policy));
  auto decode = [](MutableByteSpan) { return OkStatus(); };
  for (SegmentId id : trace) (void)cache.Get(id, kSegmentBytes, decode);
  return static_cast<double>(cache.counts().hits) / static_cast<double>(trace.size());
}

std::vector<SegmentId> CyclicTrace(size_t segments, size_t sweeps) {
  std::vector<SegmentId> trace;
  for (size_t sweep = 0; sweep < sweeps; ++sweep) {
    for (SegmentId id = 0; id < segments; ++id) trace.push_back(id);
  }
  return trace;
}

TEST(ScanPolicy, HalfTheModelGivesNearlyHalfHitsWhereLruHasNone) {
  std::vector<SegmentId> trace = CyclicTrace(1000, 20);
  EXPECT_GE(HitRate(std::make_unique<ScanPolicy>(), 500, trace), 0.45);
  EXPECT_GE(HitRateOfParts(std::make_unique<ScanPolicy>(), 500, trace), 0.45);
  EXPECT_EQ(HitRateOfParts(std::make_unique<LruPolicy>(), 500, trace), 0.0);
}

TEST(ScanPolicy, CyclesStayHitThroughTheHalvingOfCounts) {
  std::vector<SegmentId> trace = CyclicTrace(1000, 200);
  EXPECT_GE(HitRate(std::make_unique<ScanPolicy>(), 500, trace), 0.45);
}

TEST(ScanPolicy, RandomReadsHitAsWithLru) {
  std::mt19937_64 random(1);
  std::vector<SegmentId> trace(100'000);
  for (SegmentId& id : trace) id = random() % 1000;
  double lru = HitRateOfParts(std::make_unique<LruPolicy>(), 300, trace);
  EXPECT_GE(HitRateOfParts(std::make_unique<ScanPolicy>(), 300, trace), 0.9 * lru);
}

TEST(ScanPolicy, SkewedReadsHitAsWithLru) {
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> uniform;
  std::vector<SegmentId> trace(100'000);
  for (SegmentId& id : trace) id = static_cast<SegmentId>(std::pow(1000.0, uniform(random))) - 1;
  double lru = HitRateOfParts(std::make_unique<LruPolicy>(), 100, trace);
  EXPECT_GE(HitRateOfParts(std::make_unique<ScanPolicy>(), 100, trace), 0.9 * lru);
}

TEST(ScanPolicy, ShiftingInterestIsFollowed) {
  std::mt19937_64 random(3);
  std::vector<SegmentId> trace;
  for (int i = 0; i < 200'000; ++i) trace.push_back((i < 100'000 ? 0 : 5000) + random() % 90);
  double lru = HitRateOfParts(std::make_unique<LruPolicy>(), 100, trace);
  EXPECT_GE(HitRateOfParts(std::make_unique<ScanPolicy>(), 100, trace), 0.9 * lru);
}

TEST(ScanPolicy, APartReadAgainAtOnceIsStillThere) {
  SegmentCache cache(10 * kSegmentBytes, std::make_unique<ScanPolicy>());
  int decodes = 0;
  auto decode = [&](MutableByteSpan) {
    ++decodes;
    return OkStatus();
  };
  for (SegmentId id = 0; id < 100; ++id) {
    for (int part = 0; part < 4; ++part) (void)cache.Get(id, kSegmentBytes, decode);
  }
  EXPECT_EQ(decodes, 100);
}

TEST(ScanPolicy, ASmallerBudgetIsKept) {
  SegmentCache cache(100 * kSegmentBytes, std::make_unique<ScanPolicy>());
  auto decode = [](MutableByteSpan) { return OkStatus(); };
  for (SegmentId id = 0; id < 200; ++id) (void)cache.Get(id, kSegmentBytes, decode);
  for (size_t budget : {50u, 3u, 0u}) {
    cache.SetBudget(budget * kSegmentBytes);
    EXPECT_LE(cache.counts().bytes, budget * kSegmentBytes);
  }
}

}  // namespace
}  // namespace entrofs::cache
