#pragma once

#include <functional>
#include <span>
#include <vector>

// Time on one machine that does other things too.
namespace entrofs::bench {

// The CPUs this process may run on.
std::vector<int> UsableCpus();
// Keeps the calling thread on `cpu`; does nothing when the system refuses.
void PinThisThread(int cpu);

// CPU time of the calling thread: time in which the system ran something else does not count.
double ThreadSeconds();

// The core's clock now, from a chain of additions that take one cycle each; 0 where the chain is not written.
double ClockGhz();

// Runs job(0) .. job(count - 1) at the same time, job(i) on cpus[i], and returns the CPU seconds of each.
// Requires: 1 <= count <= cpus.size(). One job runs in the calling thread.
std::vector<double> RunTogether(std::span<const int> cpus, size_t count, const std::function<void(size_t)>& job);

// The middle one, or the mean of the two in the middle; 0 of none.
double Median(std::vector<double> values);

}  // namespace entrofs::bench
