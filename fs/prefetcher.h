#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "fs/range.h"
#include "fs/read_pattern.h"

namespace entrofs::fs {

// Decodes a few segments ahead of readers that go through a file segment by segment, forwards or backwards. One thread
// of its own, so that demand reads always come first. Random reads cancel what is still queued.
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
    // The reader has passed these segments: they are not needed any longer. Called from the reader's thread.
    std::function<void(size_t file, Range segments)> passed;
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

  // A reader asked for these segments of a file of `segment_count` segments. Thread-safe; never waits for decoding.
  void OnRead(size_t file, uint64_t segment_count, Range segments, const Depth& depth);

 private:
  void QueueAhead(const ReadPattern::Step& step, uint64_t segment_count, const Depth& depth);
  void Work();

  const Actions actions_;
  std::mutex mutex_;
  std::condition_variable wake_;
  ReadPattern pattern_;  // of segments
  std::deque<Target> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace entrofs::fs
