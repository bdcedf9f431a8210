#include "base/parallel.h"

#include <new>

namespace entrofs {
namespace {

// Jobs must not throw on a pool thread.
Status RunJob(const std::function<Status(size_t)>& job, size_t i) try { return job(i); } catch (const std::bad_alloc&) {
  return Error{ErrorCode::kNoMemory, "out of memory"};
}

}  // namespace

Status ParallelForStatus(ThreadPool& pool, size_t count, const std::function<Status(size_t)>& job) {
  std::mutex mutex;
  size_t failed = count;
  Status status;
  pool.ParallelFor(count, [&](size_t i) {
    {
      std::lock_guard lock(mutex);
      if (failed < i) return;
    }
    Status result = RunJob(job, i);
    if (result) return;
    std::lock_guard lock(mutex);
    if (i < failed) {
      failed = i;
      status = std::move(result);
    }
  });
  return status;
}

}  // namespace entrofs
