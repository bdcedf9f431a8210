#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>

namespace entrofs {
namespace {

TEST(ThreadPool, ParallelForRunsEveryIndexOnce) {
  ThreadPool pool(3);
  for (size_t count : {0u, 1u, 2u, 1000u}) {
    std::vector<std::atomic<int>> runs(count);
    pool.ParallelFor(count, [&](size_t i) { ++runs[i]; });
    for (auto& r : runs) EXPECT_EQ(r, 1);
  }
}

TEST(ThreadPool, ParallelForFromManyThreadsAtOnce) {
  ThreadPool pool(2);
  std::atomic<int> total{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 8; ++c) {
    callers.emplace_back([&] {
      for (int i = 0; i < 50; ++i) pool.ParallelFor(5, [&](size_t) { ++total; });
    });
  }
  for (auto& c : callers) c.join();
  EXPECT_EQ(total, 8 * 50 * 5);
}

TEST(ThreadPool, DestructionRunsWhatIsQueued) {
  std::atomic<int> done{0};
  {
    ThreadPool pool(1);
    for (int i = 0; i < 100; ++i) pool.Submit([&] { ++done; });
  }
  EXPECT_EQ(done, 100);
}

}  // namespace
}  // namespace entrofs
