#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace entrofs::fs {

// Finds readers that go through a file segment by segment, forwards or backwards, and decodes a few segments ahead of
// them. One thread of its own, so that demand reads always come first. Random reads cancel what is still queued.
class Prefetcher {
 public:
  // A segment of a file, by its ordinal.
  struct Target {
    size_t file = 0;
    uint64_t ordinal = 0;
  };
  struct Actions {
    // Makes the segment ready. Called from the prefetcher's thread.
    std::function<void(const Target&)> load;
    // The reader has passed the segments begin..end-1: they are not needed any longer. Called from the reader's thread.
    std::function<void(size_t file, uint64_t begin, uint64_t end)> passed;
  };

  // Starts a thread.
  explicit Prefetcher(Actions actions);
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  // Segments ahead of a reader once its run is long. More measured worse.
  static constexpr uint64_t kMaxDepth = 4;
  // How many are worth loading.
  struct Depth {
    uint64_t forward = kMaxDepth;
    uint64_t backward = kMaxDepth;
  };

  // A reader asked for the segments first..last of a file of `segment_count` segments. Thread-safe; never waits for
  // decoding.
  void OnRead(size_t file, uint64_t segment_count, uint64_t first, uint64_t last, const Depth& depth);

 private:
  // A run of reads that followed each other.
  struct Run {
    size_t file = SIZE_MAX;
    int direction = 0;  // +1 or -1; 0 while only one place was read
    uint64_t low = 0;   // the segments read last
    uint64_t high = 0;
    uint64_t length = 0;    // steps to a neighbour so far
    uint64_t last_use = 0;  // for replacement
  };
  static constexpr size_t kRuns = 8;  // readers followed at once

  // Segments begin..end-1 of a run's file.
  struct Range {
    uint64_t begin = 0;
    uint64_t end = 0;
  };

  Run* FindRun(size_t file, uint64_t first, uint64_t last);
  void StartRun(size_t file, uint64_t first, uint64_t last);
  static Range Advance(Run& run, uint64_t first, uint64_t last);
  void QueueAhead(const Run& run, uint64_t segment_count, const Depth& depth);
  void Work();

  const Actions actions_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::array<Run, kRuns> runs_;
  uint64_t clock_ = 0;
  std::deque<Target> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace entrofs::fs
