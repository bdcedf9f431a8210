#include "bench/measure.h"

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>

namespace entrofs::bench {
namespace {

// Waits until `count` threads have come here, without sleeping.
class StartLine {
 public:
  explicit StartLine(size_t count) : missing_(count) {}
  void Wait() {
    missing_.fetch_sub(1);
    while (missing_.load() > 0) std::this_thread::yield();
  }

 private:
  std::atomic<size_t> missing_;
};

// 16 additions, each of which needs the one before.
inline uint64_t AddSixteen(uint64_t sum, uint64_t one) {
  for (int i = 0; i < 16; ++i) {
#if defined(__x86_64__)
    asm volatile("add %1, %0" : "+r"(sum) : "r"(one));
#elif defined(__aarch64__)
    asm volatile("add %0, %0, %1" : "+r"(sum) : "r"(one));
#endif
  }
  return sum;
}

}  // namespace

std::vector<int> UsableCpus() {
  cpu_set_t set;
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

void PinThisThread(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

double ThreadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double ClockGhz() {
#if defined(__x86_64__) || defined(__aarch64__)
  constexpr int kRounds = 20000;
  uint64_t sum = 0;
  const double start = ThreadSeconds();
  for (int i = 0; i < kRounds; ++i) sum = AddSixteen(sum, 1);
  const double seconds = ThreadSeconds() - start;
  return sum == 16 * kRounds && seconds > 0 ? 16 * kRounds / seconds * 1e-9 : 0;
#else
  return 0;
#endif
}

std::vector<double> RunTogether(std::span<const int> cpus, size_t count, const std::function<void(size_t)>& job) {
  std::vector<double> seconds(count);
  StartLine line(count);
  auto run = [&](size_t i) {
    PinThisThread(cpus[i]);
    line.Wait();
    const double start = ThreadSeconds();
    job(i);
    seconds[i] = ThreadSeconds() - start;
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < count; ++i) threads.emplace_back(run, i);
  run(0);
  for (std::thread& thread : threads) thread.join();
  return seconds;
}

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace entrofs::bench
