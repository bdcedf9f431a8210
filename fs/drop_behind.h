#pragma once

#include <bitset>
#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace entrofs::fs {

// Decides when the archive's own pages have been used: decoded bytes are in the page cache once, their coded form need
// not stay there, too. Works in chunks of 2 MiB, the size of the largest pages of the page cache (a page that is only
// partly covered would stay), gives up only chunks that were read completely, because storage would have to be read
// twice for the rest, and lags behind the readers. Thread-safe.
class DropBehind {
 public:
  using Drop = std::function<void(uint64_t archive_offset, uint64_t length)>;
  // `drop` is called from reading threads.
  explicit DropBehind(Drop drop) : drop_(std::move(drop)) {}

  // The stored bytes of a segment were read there.
  void OnRead(uint64_t archive_offset, uint64_t length);

  static constexpr uint64_t kChunkBytes = 2 << 20;
  static constexpr size_t kKeptChunks = 8;
  static constexpr size_t kDroppedAtOnce = 8;
  // Chunks of which a part was read. Of more than this the kernel's page cache takes care.
  static constexpr size_t kMaxPartlyRead = 4096;

 private:
  // A chunk in grains; one counts as read with its first byte. What lies between segments (index pages) is never read
  // here, so a few may be missing.
  static constexpr size_t kGrains = 128;
  static constexpr size_t kEnoughGrains = kGrains - 3;
  using Grains = std::bitset<kGrains>;

  bool IsNowRead(uint64_t grain);
  void DropOldest(std::vector<uint64_t> used) const;

  const Drop drop_;
  std::mutex mutex_;
  std::unordered_map<uint64_t, Grains> partly_read_;
  std::vector<uint64_t> read_;  // completely, oldest first
};

}  // namespace entrofs::fs
