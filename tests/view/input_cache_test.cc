#include "view/input_cache.h"

#include <gtest/gtest.h>

namespace entrofs::view {
namespace {

InputCache::Segment Make(size_t bytes) { return std::make_shared<Buffer>(bytes); }

TEST(InputCache, KeepsWhatWasUsedLastWithinItsBudget) {
  InputCache cache(100);
  EXPECT_EQ(cache.Find({1, 0}), nullptr);
  const InputCache::Segment first = Make(40);
  cache.Put({1, 0}, first);
  cache.Put({1, 1}, Make(40));
  EXPECT_EQ(cache.Find({1, 0}), first);
  cache.Put({2, 0}, Make(40));
  EXPECT_EQ(cache.Find({1, 1}), nullptr);
  EXPECT_EQ(cache.Find({1, 0}), first);
  EXPECT_NE(cache.Find({2, 0}), nullptr);
  EXPECT_EQ(cache.held_bytes(), 80u);
}

TEST(InputCache, KeepsTheLastHoweverLong) {
  InputCache cache(10);
  cache.Put({1, 0}, Make(5));
  cache.Put({1, 1}, Make(500));
  EXPECT_EQ(cache.Find({1, 0}), nullptr);
  EXPECT_NE(cache.Find({1, 1}), nullptr);
}

TEST(InputCache, TheSameSegmentTwiceCountsOnce) {
  InputCache cache(100);
  const InputCache::Segment first = Make(30);
  cache.Put({1, 0}, first);
  cache.Put({1, 0}, Make(30));
  EXPECT_EQ(cache.Find({1, 0}), first);
  EXPECT_EQ(cache.held_bytes(), 30u);
}

}  // namespace
}  // namespace entrofs::view
