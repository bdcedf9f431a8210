#include "fs/prefetcher.h"

#include <algorithm>
#include <utility>

namespace entrofs::fs {
namespace {

// Requests of one reader overtake each other on their way through the kernel and our threads, and so leave out as many
// segments at most.
constexpr uint64_t kSlackSegments = 3;
// A reader may still come back to the segment before the one it reads.
constexpr uint64_t kKeptBehind = 2;

}  // namespace

Prefetcher::Prefetcher(Actions actions)
    : actions_(std::move(actions)), pattern_({.slack = kSlackSegments}), thread_([this] { Work(); }) {}

Prefetcher::~Prefetcher() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Prefetcher::OnRead(size_t file, uint64_t segment_count, Range segments, const Depth& depth) {
  Range passed;
  {
    std::lock_guard lock(mutex_);
    const ReadPattern::Step step = pattern_.Note(file, segments);
    if (step.is_repeat) return;
    if (step.length == 0) {
      queue_.clear();
      return;
    }
    passed = PassedRange(step, kKeptBehind);
    if (step.is_run()) QueueAhead(step, segment_count, depth);
  }
  wake_.notify_one();
  if (!passed.empty()) actions_.passed(file, passed);
}

// As many as the run is long, or as its reader takes at once, the nearest first. What other readers had queued may go:
// they will ask again.
void Prefetcher::QueueAhead(const ReadPattern::Step& step, uint64_t segment_count, const Depth& depth) {
  queue_.clear();
  const bool forward = step.direction == Direction::kForward;
  const uint64_t wanted = std::max(step.length, step.read.size());
  const Range ahead = NextRange(step, std::min(wanted, forward ? depth.forward : depth.backward), segment_count);
  for (uint64_t i = 0; i < ahead.size(); ++i) {
    queue_.push_back({static_cast<size_t>(step.file), forward ? ahead.begin + i : ahead.end - 1 - i});
  }
}

void Prefetcher::Work() {
  for (;;) {
    Target target;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      target = queue_.front();
      queue_.pop_front();
    }
    actions_.load(target);
  }
}

}  // namespace entrofs::fs
