#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <new>
#include <string>
#include <vector>

namespace entrofs {
namespace {

TEST(ParallelForStatus, RunsEveryJobOnce) {
  ThreadPool pool(3);
  std::vector<std::atomic<int>> runs(1000);
  EXPECT_TRUE(ParallelForStatus(pool, runs.size(), [&](size_t i) {
    ++runs[i];
    return OkStatus();
  }));
  for (const std::atomic<int>& count : runs) EXPECT_EQ(count, 1);
}

TEST(ParallelForStatus, ReturnsTheErrorOfTheLowestJobThatFails) {
  ThreadPool pool(3);
  for (int round = 0; round < 50; ++round) {
    Status status = ParallelForStatus(pool, 200, [](size_t i) -> Status {
      if (i >= 7 && i % 2 == 1) return Error{ErrorCode::kIo, std::to_string(i)};
      return OkStatus();
    });
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().message, "7");
  }
}

TEST(ParallelForStatus, LeavesOutJobsAfterAFailure) {
  ThreadPool pool(1);
  std::atomic<size_t> runs{0};
  Status status = ParallelForStatus(pool, 1'000'000, [&](size_t) -> Status {
    ++runs;
    return Error{ErrorCode::kIo, "disk"};
  });
  EXPECT_FALSE(status);
  EXPECT_LT(runs, 1000u);
}

TEST(ParallelForStatus, TurnsExhaustedMemoryIntoAnError) {
  ThreadPool pool(2);
  Status status = ParallelForStatus(pool, 4, [](size_t i) -> Status {
    if (i == 2) throw std::bad_alloc();
    return OkStatus();
  });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kNoMemory);
}

TEST(Reused, GivesBackWhatWasGiven) {
  Reused<std::vector<int>> reused;
  std::unique_ptr<std::vector<int>> first = reused.Take();
  first->push_back(5);
  const std::vector<int>* address = first.get();
  reused.Give(std::move(first));
  std::unique_ptr<std::vector<int>> again = reused.Take();
  EXPECT_EQ(again.get(), address);
  EXPECT_EQ(again->front(), 5);
  EXPECT_TRUE(reused.Take()->empty());
}

}  // namespace
}  // namespace entrofs
