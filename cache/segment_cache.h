#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/bytes.h"
#include "base/result.h"
#include "cache/buffer_pool.h"
#include "cache/cache_policy.h"

namespace entrofs::cache {

// Decoded segments by id, within a byte budget. Thread-safe. Knows no archive: whoever asks brings the decoder.
//
// A segment is decoded at most once at a time: callers that miss while a decode is running wait for it. A failed
// decode is reported to everybody who waited for it and not remembered. A decode runs on the thread of the first
// caller, so waiting for one never waits for a queue.
class SegmentCache {
  struct Entry;

 public:
  // A decoded segment that stays readable as long as this object lives, evicted or not. Copyable.
  class Pinned {
   public:
    ByteSpan bytes() const;

   private:
    friend class SegmentCache;
    explicit Pinned(std::shared_ptr<const Entry> entry) : entry_(std::move(entry)) {}
    std::shared_ptr<const Entry> entry_;
  };

  // Fills all of `plain`.
  using Decode = std::function<Status(MutableByteSpan plain)>;

  // Holds at most `budget_bytes` besides what is pinned and being decoded; 0 keeps nothing but still joins decodes.
  SegmentCache(size_t budget_bytes, std::unique_ptr<CachePolicy> policy);
  ~SegmentCache();

  // The segment, of `size_bytes`. Decodes on the calling thread unless the segment is there or being decoded.
  // Blocks. Errors are those of the decoder; kNoMemory when it ran out of memory. `lead_bytes`, less than a page: how
  // far behind the beginning of a page its bytes shall lie, when they are decoded now.
  Result<Pinned> Get(SegmentId id, size_t size_bytes, const Decode& decode, size_t lead_bytes = 0);

  // As Get, for a segment that is needed once and as a whole: nothing when it is neither there nor being decoded nor
  // worth keeping. The caller then decodes it where the bytes are wanted.
  std::optional<Result<Pinned>> GetWhole(SegmentId id, size_t size_bytes, const Decode& decode, size_t lead_bytes = 0);

  // Makes the segment ready for somebody who will ask for it. As Get, but does not count as being asked for.
  Status Prepare(SegmentId id, size_t size_bytes, const Decode& decode, size_t lead_bytes = 0);

  // True when the segment is there or being decoded. Never waits; does not count as being asked for.
  bool Contains(SegmentId id) const;

  // Gives the segment up, so that its memory serves the next decode while it is warm. Nothing happens when it is not
  // there or still being decoded.
  void Drop(SegmentId id);

  // Changes the budget, evicting what exceeds it.
  void SetBudget(size_t budget_bytes);

  struct Counts {
    uint64_t hits = 0;       // asked for and there
    uint64_t joins = 0;      // asked for while being decoded
    uint64_t misses = 0;     // asked for and decoded
    uint64_t evictions = 0;  // given up for another
    uint64_t bytes = 0;      // held now
    uint64_t budget_bytes = 0;
  };
  Counts counts() const;

 private:
  Result<Pinned> DecodeOrJoin(std::unique_lock<std::mutex>& lock, SegmentId id, size_t size_bytes, const Decode& decode,
                              size_t lead_bytes);
  Result<Pinned> Wait(std::unique_lock<std::mutex>& lock, const std::shared_ptr<Entry>& entry);
  Status DecodeInto(Entry& entry, size_t size_bytes, const Decode& decode, size_t lead_bytes);
  void Finish(const std::shared_ptr<Entry>& entry, Status status);
  void KeepLocked(const Entry& entry);
  void EvictLocked();
  std::shared_ptr<Entry> RemoveLocked(SegmentId id);

  const std::shared_ptr<BufferPool> buffers_;
  mutable std::mutex mutex_;
  std::condition_variable decoded_;
  std::unique_ptr<CachePolicy> policy_;
  std::unordered_map<SegmentId, std::shared_ptr<Entry>> entries_;
  Counts counts_;
};

}  // namespace entrofs::cache
