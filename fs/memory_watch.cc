#include "fs/memory_watch.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace entrofs::fs {
namespace {

constexpr std::chrono::milliseconds kInterval(500);

}  // namespace

MemoryBudget::MemoryBudget(uint64_t wanted_bytes, std::optional<uint64_t> limit_bytes)
    : most_bytes_(limit_bytes ? std::min(wanted_bytes, *limit_bytes / 2) : wanted_bytes), bytes_(most_bytes_) {}

bool MemoryBudget::Update(double stalled) {
  const uint64_t before = bytes_;
  if (stalled >= kStalledShare) {
    quiet_updates_ = 0;
    bytes_ = std::min(most_bytes_, std::max(bytes_ / 2, kLeastBytes));
  } else if (quiet_updates_ < kQuietUpdates) {
    ++quiet_updates_;
  } else {
    bytes_ = std::min(most_bytes_, bytes_ + bytes_ / 8);
  }
  return bytes_ != before;
}

MemoryWatch::MemoryWatch(MemoryBudget budget, Stall stall, Apply apply)
    : budget_(budget), stall_(std::move(stall)), apply_(std::move(apply)) {
  if (stall_()) thread_ = std::thread([this] { Work(); });
}

MemoryWatch::~MemoryWatch() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void MemoryWatch::Work() {
  using Clock = std::chrono::steady_clock;
  uint64_t stalled_before = stall_().value_or(0);
  auto time_before = Clock::now();
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (wake_.wait_for(lock, kInterval, [this] { return stopping_; })) return;
    }
    const auto now = Clock::now();
    const uint64_t stalled = std::max(stall_().value_or(stalled_before), stalled_before);
    const double passed = std::chrono::duration<double, std::micro>(now - time_before).count();
    const bool was_short = budget_.is_short();
    const bool changed = budget_.Update(static_cast<double>(stalled - stalled_before) / passed);
    is_short_ = budget_.is_short();
    if (budget_.is_short() && !was_short) ++shortage_count_;
    if (changed || budget_.is_short() != was_short) apply_(budget_.bytes(), budget_.is_short());
    stalled_before = stalled;
    time_before = now;
  }
}

}  // namespace entrofs::fs
