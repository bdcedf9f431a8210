#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"

namespace entrofs::packer::quantize {

// Runs job(0) .. job(count - 1) on `pool`. Returns the error of the lowest-numbered job that failed; jobs not yet
// started after a failure may be left out.
inline Status ParallelForStatus(ThreadPool& pool, size_t count, const std::function<Status(size_t)>& job) {
  std::mutex mutex;
  size_t failed = count;
  Status status;
  pool.ParallelFor(count, [&](size_t i) {
    {
      std::lock_guard lock(mutex);
      if (failed < i) return;
    }
    Status result = job(i);
    if (result) return;
    std::lock_guard lock(mutex);
    if (i < failed) {
      failed = i;
      status = std::move(result);
    }
  });
  return status;
}

// Large objects that jobs use one after another instead of each making its own. Thread-safe.
template <typename T>
class Reused {
 public:
  // As the job before left it.
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

}  // namespace entrofs::packer::quantize
