#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace entrofs {

// A fixed number of threads that run jobs first in, first out. Thread-safe. Jobs must not throw and must not wait for
// other jobs of the same pool.
class ThreadPool {
 public:
  // thread_count >= 1. Threads start here, so construct after daemonizing.
  explicit ThreadPool(size_t thread_count);
  // Runs what is queued, then joins.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  void Submit(std::function<void()> job);

  // Runs job(0) .. job(count - 1), the caller taking part, and returns when all have ended. May be called from several
  // threads at once, not from a job of this pool.
  void ParallelFor(size_t count, const std::function<void(size_t)>& job);

  size_t thread_count() const { return threads_.size(); }

  // The number of CPUs this process may run on (sched_getaffinity and the cgroup quota), at least 1.
  static size_t AvailableCpus();

 private:
  void Work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace entrofs
