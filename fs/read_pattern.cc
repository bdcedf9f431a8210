#include "fs/read_pattern.h"

#include <algorithm>

namespace entrofs::fs {
namespace {

// A run that was broken off once may be the reader's last.
constexpr uint64_t kJumpsOfAHabit = 2;

bool Continues(Range before, Range read, uint64_t slack) {
  return read.begin <= before.end + slack && read.end + slack >= before.begin;
}

bool IsWithin(Range outer, Range inner) { return inner.begin >= outer.begin && inner.end <= outer.end; }

}  // namespace

Direction ReadPattern::Step::LikelyDirection() const {
  if (is_run()) return direction;
  return length == 0 && jumps >= kJumpsOfAHabit ? expected : Direction::kNone;
}

const ReadPattern::Run* ReadPattern::Find(uint64_t file, Range read) const {
  for (const Run& run : runs_) {
    if (run.last_use > 0 && run.last.file == file && Continues(run.last.read, read, options_.slack)) return &run;
  }
  return nullptr;
}

Direction ReadPattern::DirectionTo(uint64_t file, Range read) const {
  const Run* run = Find(file, read);
  if (run == nullptr || IsWithin(run->last.read, read)) return Direction::kNone;
  return read.end > run->last.read.end ? Direction::kForward : Direction::kBackward;
}

// In the place of the run that was unused for longest. The file's run of before tells whether this is a jump.
ReadPattern::Run& ReadPattern::Begin(uint64_t file, Range read) {
  const auto older = [](const Run& a, const Run& b) { return a.last_use < b.last_use; };
  const Run* latest = nullptr;
  for (const Run& run : runs_) {
    if (run.last_use > 0 && run.last.file == file && (latest == nullptr || older(*latest, run))) latest = &run;
  }
  Step step;
  step.file = file;
  step.read = read;
  if (latest != nullptr && latest->last.is_run()) {
    const bool same = latest->last.jumps == 0 || latest->last.expected == latest->last.direction;
    step.jumps = same ? latest->last.jumps + 1 : 1;
    step.expected = latest->last.direction;
  }
  Run& run = *std::min_element(runs_.begin(), runs_.end(), older);
  run.last = step;
  return run;
}

ReadPattern::Step ReadPattern::Note(uint64_t file, Range read) {
  const Run* found = Find(file, read);
  Run& run = found == nullptr ? Begin(file, read) : runs_[static_cast<size_t>(found - runs_.data())];
  run.last_use = ++clock_;
  noted_ = static_cast<size_t>(&run - runs_.data());
  if (found == nullptr) return run.last;
  Step step = run.last;
  step.before = run.last.read;
  step.is_repeat = IsWithin(step.before, read);
  if (step.is_repeat) {
    step.read = read;
    return step;
  }
  step.read = read;
  step.direction = read.end > step.before.end ? Direction::kForward : Direction::kBackward;
  step.length = step.direction == run.last.direction || run.last.direction == Direction::kNone ? step.length + 1 : 1;
  run.last = step;
  return step;
}

void ReadPattern::ServedAhead(Range ahead) { runs_[noted_].last.read = ahead; }

Range NextRange(const ReadPattern::Step& step, uint64_t size, uint64_t file_size) {
  const Range read = step.read;
  if (step.direction == Direction::kForward) {
    const uint64_t begin = std::min(read.end, file_size);
    return {begin, begin + std::min(size, file_size - begin)};
  }
  if (step.direction == Direction::kBackward) return {read.begin - std::min(read.begin, size), read.begin};
  return {};
}

Range PassedRange(const ReadPattern::Step& step, uint64_t kept) {
  if (!step.is_run() || step.is_repeat) return {};
  const Range before = step.before;
  Range passed = {before.begin - std::min(before.begin, kept), step.read.begin - std::min(step.read.begin, kept)};
  if (step.direction == Direction::kBackward) passed = {step.read.end + kept, before.end + kept};
  return passed.begin < passed.end ? passed : Range{};
}

}  // namespace entrofs::fs
