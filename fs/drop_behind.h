#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>

namespace entrofs::fs {

// Decides when the archive's own pages have been used: decoded bytes are in the page cache once, their coded form need
// not stay there, too. Works in chunks of 2 MiB, the size of the largest pages of the page cache (a page that is only
// partly covered would stay), and lags behind the readers, because the kernel reads ahead of them. Thread-safe.
class DropBehind {
 public:
  using Drop = std::function<void(uint64_t archive_offset, uint64_t length)>;
  // `drop` is called from reading threads.
  explicit DropBehind(Drop drop) : drop_(std::move(drop)) {}

  // A segment was read from there.
  void OnRead(uint64_t archive_offset);

  static constexpr uint64_t kChunkBytes = 2 << 20;
  static constexpr size_t kKeptChunks = 8;
  static constexpr size_t kDroppedAtOnce = 8;

 private:
  const Drop drop_;
  std::mutex mutex_;
  std::deque<uint64_t> chunks_;  // in use, oldest first
};

}  // namespace entrofs::fs
