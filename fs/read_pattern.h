#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fs/range.h"

namespace entrofs::fs {

enum class Direction { kNone, kForward, kBackward };

// Tells from the reads of a file how its readers go through it: forwards, backwards or at random, and what they will
// want next. Only remembers and computes; what is done about it is up to the caller. Positions are bytes or segments,
// as the caller likes. Several readers are told apart by the places they read. Not thread-safe.
class ReadPattern {
 public:
  struct Options {
    size_t max_runs = 8;  // followed at once; the one unused for longest gives way
    // A read still continues a run when it leaves out so many positions, or comes back by so many.
    uint64_t slack = 0;
  };
  // Steps in one direction that make a run. Two neighbours may be chance.
  static constexpr uint64_t kStepsOfARun = 2;

  // What one read was.
  struct Step {
    uint64_t file = 0;
    Range read;
    Range before;  // what the same run read before that; empty when this read begins one
    Direction direction = Direction::kNone;
    uint64_t length = 0;     // steps in that direction in a row, this one included; 0: this read begins a run
    bool is_repeat = false;  // lies within `before`; the run is where it was
    uint64_t jumps = 0;      // runs right before this one that their reader broke off to read on elsewhere in the file
    Direction expected = Direction::kNone;  // of those runs

    bool is_run() const { return length >= kStepsOfARun; }
    // Where the reader goes: as the run does, or, while it has none, as the runs did between which it jumps. Readers
    // that load tensor after tensor in an order of their own are known by the latter at the first read of a tensor.
    Direction LikelyDirection() const;
  };

  explicit ReadPattern(const Options& options) : options_(options), runs_(options.max_runs) {}

  // Where a read of that range would go from what was read last; kNone when it continues no run. Changes nothing.
  Direction DirectionTo(uint64_t file, Range read) const;
  // Notes a read.
  Step Note(uint64_t file, Range read);
  // The reader noted last was served `ahead` as well: its next read will come after that (or before it, backwards).
  void ServedAhead(Range ahead);

 private:
  struct Run {
    Step last;
    uint64_t last_use = 0;  // 0: never
  };
  const Run* Find(uint64_t file, Range read) const;
  Run& Begin(uint64_t file, Range read);

  const Options options_;
  std::vector<Run> runs_;
  size_t noted_ = 0;  // the run noted last
  uint64_t clock_ = 0;
};

// The next `size` positions in the step's direction, within a file of `file_size`. Empty without a direction.
Range NextRange(const ReadPattern::Step& step, uint64_t size, uint64_t file_size);

// The positions that the reader has left behind with this step when it may still come back by `kept`. Empty unless the
// step is part of a run.
Range PassedRange(const ReadPattern::Step& step, uint64_t kept);

}  // namespace entrofs::fs
