#include "fs/memory_watch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace entrofs::fs {
namespace {

constexpr uint64_t kWanted = 64 << 20;

TEST(MemoryBudget, IsWhatTheUserAllowsButAtMostHalfOfTheGroupsLimit) {
  EXPECT_EQ(MemoryBudget(kWanted, std::nullopt).bytes(), kWanted);
  EXPECT_EQ(MemoryBudget(kWanted, 1u << 30).bytes(), kWanted);
  EXPECT_EQ(MemoryBudget(kWanted, 32u << 20).bytes(), 16u << 20);
}

TEST(MemoryBudget, HalvesUnderPressureDownToALeastAmount) {
  MemoryBudget budget(kWanted, std::nullopt);
  EXPECT_FALSE(budget.is_short());
  EXPECT_TRUE(budget.Update(0.5));
  EXPECT_TRUE(budget.is_short());
  EXPECT_EQ(budget.bytes(), kWanted / 2);
  for (int i = 0; i < 50; ++i) budget.Update(1.0);
  EXPECT_EQ(budget.bytes(), MemoryBudget::kLeastBytes);
}

TEST(MemoryBudget, GrowsBackGraduallyAfterAWhileWithoutPressure) {
  MemoryBudget budget(kWanted, std::nullopt);
  budget.Update(1.0);
  for (int i = 0; i < MemoryBudget::kQuietUpdates; ++i) EXPECT_FALSE(budget.Update(0.01));
  EXPECT_FALSE(budget.is_short());
  EXPECT_TRUE(budget.Update(0));
  EXPECT_GT(budget.bytes(), kWanted / 2);
  EXPECT_LT(budget.bytes(), kWanted);
  for (int i = 0; i < 50; ++i) budget.Update(0);
  EXPECT_EQ(budget.bytes(), kWanted);
}

TEST(MemoryBudget, NeverExceedsASmallWish) {
  MemoryBudget budget(1000, std::nullopt);
  budget.Update(1.0);
  EXPECT_EQ(budget.bytes(), 1000u);
}

TEST(MemoryWatch, AppliesWhatTheStallsSay) {
  std::atomic<uint64_t> stalled{0}, budget_bytes{0};
  std::atomic<bool> is_short{false};
  // Every question finds ten more seconds of waiting.
  MemoryWatch watch(
      MemoryBudget(kWanted, std::nullopt), [&] { return std::optional<uint64_t>(stalled += 10'000'000); },
      [&](uint64_t bytes, bool shortage) {
        budget_bytes = bytes;
        is_short = shortage;
      });
  for (int i = 0; i < 2000 && !is_short; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_TRUE(is_short);
  EXPECT_GT(budget_bytes, 0u);
  EXPECT_LT(budget_bytes, kWanted);
  EXPECT_EQ(watch.shortage_count(), 1u);
}

TEST(MemoryWatch, DoesNothingWhereTheKernelDoesNotTell) {
  MemoryWatch watch(
      MemoryBudget(kWanted, std::nullopt), [] { return std::optional<uint64_t>(); },
      [](uint64_t, bool) { ADD_FAILURE() << "applied"; });
  EXPECT_EQ(watch.shortage_count(), 0u);
}

}  // namespace
}  // namespace entrofs::fs
