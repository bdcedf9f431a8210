#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"

// Loops over a pool whose jobs can fail, and what such jobs share.
namespace entrofs {

// Runs job(0) .. job(count - 1) on `pool` and the calling thread, and returns when all that were started have ended.
// Returns the error of the lowest-numbered job that failed, so that the result does not depend on the number of
// threads; jobs above it that have not started are left out. A job that runs out of memory fails with kNoMemory. Must
// not be called from a job of the pool.
Status ParallelForStatus(ThreadPool& pool, size_t count, const std::function<Status(size_t)>& job);

// Large objects that jobs use one after another instead of each making its own. Thread-safe.
template <typename T>
class Reused {
 public:
  // An idle object as the job before left it, or a new one.
  std::unique_ptr<T> Take() {
    std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<T>();
    std::unique_ptr<T> object = std::move(idle_.back());
    idle_.pop_back();
    return object;
  }
  void Give(std::unique_ptr<T> object) {
    std::lock_guard lock(mutex_);
    idle_.push_back(std::move(object));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<T>> idle_;
};

}  // namespace entrofs
