#include "fs/drop_behind.h"

#include <algorithm>
#include <vector>

namespace entrofs::fs {

void DropBehind::OnRead(uint64_t archive_offset) {
  uint64_t chunk = archive_offset / kChunkBytes;
  std::vector<uint64_t> used;
  {
    std::lock_guard lock(mutex_);
    // Newest first: nearly always the chunk of the segment before.
    if (std::find(chunks_.rbegin(), chunks_.rend(), chunk) != chunks_.rend()) return;
    chunks_.push_back(chunk);
    if (chunks_.size() < kKeptChunks + kDroppedAtOnce) return;
    used.assign(chunks_.begin(), chunks_.begin() + kDroppedAtOnce);
    chunks_.erase(chunks_.begin(), chunks_.begin() + kDroppedAtOnce);
  }
  std::sort(used.begin(), used.end());
  for (size_t begin = 0; begin < used.size();) {
    size_t end = begin + 1;
    while (end < used.size() && used[end] == used[end - 1] + 1) ++end;
    drop_(used[begin] * kChunkBytes, (end - begin) * kChunkBytes);
    begin = end;
  }
}

}  // namespace entrofs::fs
