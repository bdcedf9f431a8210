#include "fs/prefetcher.h"

#include <algorithm>
#include <utility>

namespace entrofs::fs {
namespace {

// Requests of one reader overtake each other by this many segments on their way through the kernel and our threads.
constexpr uint64_t kSlack = 4;
// A reader may still come back to the segment before the one it reads.
constexpr uint64_t kKeptBehind = 2;

}  // namespace

Prefetcher::Prefetcher(Actions actions) : actions_(std::move(actions)), thread_([this] { Work(); }) {}

Prefetcher::~Prefetcher() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Prefetcher::OnRead(size_t file, uint64_t segment_count, uint64_t first, uint64_t last, const Depth& depth) {
  Range passed;
  {
    std::lock_guard lock(mutex_);
    Run* run = FindRun(file, first, last);
    if (run == nullptr) {
      queue_.clear();
      StartRun(file, first, last);
      return;
    }
    run->last_use = ++clock_;
    if (first >= run->low && last <= run->high) return;  // within what was read just now
    passed = Advance(*run, first, last);
    if (run->length >= 2) QueueAhead(*run, segment_count, depth);
  }
  wake_.notify_one();
  if (passed.begin < passed.end) actions_.passed(file, passed.begin, passed.end);
}

// The run whose place is near enough that these segments continue it.
Prefetcher::Run* Prefetcher::FindRun(size_t file, uint64_t first, uint64_t last) {
  for (Run& run : runs_) {
    if (run.file == file && first <= run.high + kSlack && last + kSlack >= run.low) return &run;
  }
  return nullptr;
}

void Prefetcher::StartRun(size_t file, uint64_t first, uint64_t last) {
  Run& oldest =
      *std::min_element(runs_.begin(), runs_.end(), [](const Run& a, const Run& b) { return a.last_use < b.last_use; });
  oldest = Run{.file = file, .direction = 0, .low = first, .high = last, .length = 0, .last_use = ++clock_};
}

// Moves the run on. Returns the segments that fall behind.
Prefetcher::Range Prefetcher::Advance(Run& run, uint64_t first, uint64_t last) {
  Range before{run.low, run.high + 1};
  int direction = last > run.high ? +1 : -1;
  run.length = direction == run.direction || run.direction == 0 ? run.length + 1 : 1;
  run.direction = direction;
  run.low = first;
  run.high = last;
  if (run.length < 2) return {};
  // Small steps leave the segments before the last read to the next step.
  if (direction < 0) return {last + 1 + kKeptBehind, before.end + kKeptBehind};
  return {before.begin - std::min(before.begin, kKeptBehind), first - std::min(first, kKeptBehind)};
}

// As many as the run is long, or as its reader takes at once. What other readers had queued may go: they will ask
// again.
void Prefetcher::QueueAhead(const Run& run, uint64_t segment_count, const Depth& depth) {
  queue_.clear();
  const uint64_t wanted = std::max(run.length, run.high - run.low + 1);
  const uint64_t count = std::min(wanted, run.direction > 0 ? depth.forward : depth.backward);
  for (uint64_t step = 1; step <= count; ++step) {
    if (run.direction > 0 ? run.high + step >= segment_count : step > run.low) break;
    queue_.push_back({run.file, run.direction > 0 ? run.high + step : run.low - step});
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
