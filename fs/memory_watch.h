#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

namespace entrofs::fs {

// Keeps what a mount holds within what the machine can spare: never more than half of a control group's limit, half as
// much again and again while processes wait for memory, and gradually all of it when they no longer do.
class MemoryBudget {
 public:
  // `wanted_bytes`: what the user allows. `limit_bytes`: of the control group, if any.
  MemoryBudget(uint64_t wanted_bytes, std::optional<uint64_t> limit_bytes);

  uint64_t bytes() const { return bytes_; }
  // Some time has passed, of which somebody waited for memory the share `stalled` (0 to 1). True when bytes() changed.
  bool Update(double stalled);
  bool is_short() const { return quiet_updates_ < kQuietUpdates; }

  // Waiting this much is pressure.
  static constexpr double kStalledShare = 0.1;
  // So many updates without pressure, and the budget grows again.
  static constexpr int kQuietUpdates = 10;
  static constexpr uint64_t kLeastBytes = 1 << 20;

 private:
  const uint64_t most_bytes_;
  uint64_t bytes_;
  int quiet_updates_ = kQuietUpdates;
};

// Runs a MemoryBudget by a clock. Starts a thread, unless the kernel does not tell how short memory is.
class MemoryWatch {
 public:
  // Calls `apply` from its thread whenever the budget changes or memory begins or ceases to be short. `stall` gives the
  // microseconds waited so far.
  using Stall = std::function<std::optional<uint64_t>()>;
  using Apply = std::function<void(uint64_t budget_bytes, bool is_short)>;
  MemoryWatch(MemoryBudget budget, Stall stall, Apply apply);
  ~MemoryWatch();
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;

  // Whether processes wait for memory, as of the last look.
  bool is_short() const { return is_short_; }
  // How often memory was short so far.
  uint64_t shortage_count() const { return shortage_count_; }

 private:
  void Work();

  MemoryBudget budget_;
  const Stall stall_;
  const Apply apply_;
  std::atomic<uint64_t> shortage_count_{0};
  std::atomic<bool> is_short_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace entrofs::fs
