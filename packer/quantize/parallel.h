#pragma once

#include <cstdint>
#include <functional>
#include <mutex>

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

}  // namespace entrofs::packer::quantize
