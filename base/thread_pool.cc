#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <new>
#include <system_error>

namespace entrofs {
namespace {

// CPUs granted by the cgroup v2 quota ("max 100000" or "150000 100000"), or a large number where there is none.
size_t CgroupCpuQuota() {
  std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "re");
  if (file == nullptr) return SIZE_MAX;
  long long quota = 0;
  long long period = 0;
  int fields = std::fscanf(file, "%lld %lld", &quota, &period);
  std::fclose(file);
  if (fields != 2 || quota <= 0 || period <= 0) return SIZE_MAX;
  return static_cast<size_t>((quota + period - 1) / period);
}

// What a ParallelFor shares with the jobs that help it; outlives whichever ends last.
struct Loop {
  explicit Loop(size_t n, const std::function<void(size_t)>& f) : count(n), job(f) {}

  void Run() {
    for (size_t i = next++; i < count; i = next++) {
      job(i);
      if (++done == count) {
        std::lock_guard lock(mutex);
        finished.notify_all();
      }
    }
  }

  const size_t count;
  // Only used while some index below count is unclaimed or running, so while the caller still waits.
  const std::function<void(size_t)>& job;
  std::atomic<size_t> next{0};
  std::atomic<size_t> done{0};
  std::mutex mutex;
  std::condition_variable finished;
};

}  // namespace

ThreadPool::ThreadPool(size_t thread_count) {
  try {
    for (size_t i = 0; i < std::max<size_t>(thread_count, 1); ++i) threads_.emplace_back([this] { Work(); });
  } catch (const std::system_error& error) {
    // Fewer do the same work.
    if (!threads_.empty()) return;
    throw std::system_error(error.code(), "cannot start a thread (limits: ulimit -u, TasksMax= of a service)");
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Submit(std::function<void()> job) {
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void ThreadPool::ParallelFor(size_t count, const std::function<void(size_t)>& job) {
  if (count == 0) return;
  auto loop = std::make_shared<Loop>(count, job);
  size_t helpers = std::min(count - 1, threads_.size());
  try {
    for (size_t i = 0; i < helpers; ++i) Submit([loop] { loop->Run(); });
  } catch (const std::bad_alloc&) {
    // Those that were found use `job`, so this must not end before them; the caller does the rest itself.
  }
  loop->Run();
  std::unique_lock lock(loop->mutex);
  loop->finished.wait(lock, [&] { return loop->done == loop->count; });
}

size_t ThreadPool::AvailableCpus() {
  cpu_set_t set;
  size_t cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<size_t>(CPU_COUNT(&set))
                                                            : std::thread::hardware_concurrency();
  return std::max<size_t>(1, std::min(cpus, CgroupCpuQuota()));
}

void ThreadPool::Work() {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace entrofs
