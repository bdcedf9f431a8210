#include "fs/drop_behind.h"

#include <algorithm>

namespace entrofs::fs {

void DropBehind::OnRead(uint64_t archive_offset, uint64_t length) {
  constexpr uint64_t kGrainBytes = kChunkBytes / kGrains;
  std::vector<uint64_t> used;
  {
    std::lock_guard lock(mutex_);
    const uint64_t end = archive_offset + length;
    for (uint64_t grain = (archive_offset + kGrainBytes - 1) / kGrainBytes; grain * kGrainBytes < end; ++grain) {
      if (IsNowRead(grain)) read_.push_back(grain / kGrains);
    }
    if (read_.size() < kKeptChunks + kDroppedAtOnce) return;
    used.assign(read_.begin(), read_.begin() + kDroppedAtOnce);
    read_.erase(read_.begin(), read_.begin() + kDroppedAtOnce);
  }
  DropOldest(std::move(used));
}

// Notes the grain; true when it was the last one that its chunk lacked.
bool DropBehind::IsNowRead(uint64_t grain) {
  const uint64_t chunk = grain / kGrains;
  if (!partly_read_.contains(chunk) && partly_read_.size() >= kMaxPartlyRead) partly_read_.erase(partly_read_.begin());
  Grains& grains = partly_read_[chunk];
  grains.set(grain % kGrains);
  if (grains.count() < kEnoughGrains) return false;
  partly_read_.erase(chunk);
  return std::find(read_.begin(), read_.end(), chunk) == read_.end();
}

// In one call where they are neighbours.
void DropBehind::DropOldest(std::vector<uint64_t> used) const {
  std::sort(used.begin(), used.end());
  for (size_t begin = 0; begin < used.size();) {
    size_t end = begin + 1;
    while (end < used.size() && used[end] == used[end - 1] + 1) ++end;
    drop_(used[begin] * kChunkBytes, (end - begin) * kChunkBytes);
    begin = end;
  }
}

}  // namespace entrofs::fs
