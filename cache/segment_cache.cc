#include "cache/segment_cache.h"

#include <exception>
#include <new>
#include <utility>

namespace entrofs::cache {
namespace {

// Buffers kept between an eviction and the next decode. More would only cool them.
constexpr size_t kIdleBufferBytes = 4 << 20;

}  // namespace

struct SegmentCache::Entry {
  enum class State { kDecoding, kReady, kFailed };

  SegmentId id = 0;
  State state = State::kDecoding;  // guarded by the cache's mutex
  std::optional<Error> error;      // set before kFailed, constant after
  size_t lead_bytes = 0;           // of the buffer, unused
  BufferLease buffer;              // written by the decoding thread before kReady, constant after
};

ByteSpan SegmentCache::Pinned::bytes() const { return entry_->buffer->span().subspan(entry_->lead_bytes); }

SegmentCache::SegmentCache(size_t budget_bytes, std::unique_ptr<CachePolicy> policy)
    : buffers_(std::make_shared<BufferPool>(kIdleBufferBytes)), policy_(std::move(policy)) {
  counts_.budget_bytes = budget_bytes;
}

SegmentCache::~SegmentCache() = default;

Result<SegmentCache::Pinned> SegmentCache::Get(SegmentId id, size_t size_bytes, const Decode& decode,
                                               size_t lead_bytes) {
  std::unique_lock lock(mutex_);
  policy_->Asked(id);
  return DecodeOrJoin(lock, id, size_bytes, decode, lead_bytes);
}

std::optional<Result<SegmentCache::Pinned>> SegmentCache::GetWhole(SegmentId id, size_t size_bytes,
                                                                   const Decode& decode, size_t lead_bytes) {
  std::unique_lock lock(mutex_);
  policy_->Asked(id);
  bool full = counts_.bytes + size_bytes > counts_.budget_bytes;
  if (!entries_.contains(id) && !policy_->KeepsWhole(id, full)) return std::nullopt;
  return DecodeOrJoin(lock, id, size_bytes, decode, lead_bytes);
}

Status SegmentCache::Prepare(SegmentId id, size_t size_bytes, const Decode& decode, size_t lead_bytes) {
  std::unique_lock lock(mutex_);
  Result<Pinned> pinned = DecodeOrJoin(lock, id, size_bytes, decode, lead_bytes);
  if (!pinned) return std::move(pinned.error());
  return OkStatus();
}

// Leaves the lock open when it decodes.
Result<SegmentCache::Pinned> SegmentCache::DecodeOrJoin(std::unique_lock<std::mutex>& lock, SegmentId id,
                                                        size_t size_bytes, const Decode& decode, size_t lead_bytes) {
  if (auto place = entries_.find(id); place != entries_.end()) {
    return Wait(lock, std::shared_ptr<Entry>(place->second));
  }
  auto entry = std::make_shared<Entry>();
  entry->id = id;
  entries_.emplace(id, entry);
  ++counts_.misses;
  lock.unlock();
  Status status = DecodeInto(*entry, size_bytes, decode, lead_bytes);
  bool ok = status.ok();
  Finish(entry, std::move(status));
  if (!ok) return *entry->error;
  return Pinned(std::move(entry));
}

bool SegmentCache::Contains(SegmentId id) const {
  std::lock_guard lock(mutex_);
  return entries_.contains(id);
}

void SegmentCache::Drop(SegmentId id) {
  std::shared_ptr<Entry> dropped;  // ends outside the lock
  std::lock_guard lock(mutex_);
  auto place = entries_.find(id);
  if (place != entries_.end() && place->second->state == Entry::State::kReady) dropped = RemoveLocked(id);
}

void SegmentCache::SetBudget(size_t budget_bytes) {
  {
    std::lock_guard lock(mutex_);
    counts_.budget_bytes = budget_bytes;
    EvictLocked();
  }
  buffers_->Trim();
}

SegmentCache::Counts SegmentCache::counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

Result<SegmentCache::Pinned> SegmentCache::Wait(std::unique_lock<std::mutex>& lock,
                                                const std::shared_ptr<Entry>& entry) {
  if (entry->state == Entry::State::kReady) {
    ++counts_.hits;
  } else {
    ++counts_.joins;
    decoded_.wait(lock, [&] { return entry->state != Entry::State::kDecoding; });
  }
  if (entry->state == Entry::State::kFailed) return *entry->error;
  return Pinned(entry);
}

// Whatever happens in here must reach the waiters, exceptions too.
Status SegmentCache::DecodeInto(Entry& entry, size_t size_bytes, const Decode& decode, size_t lead_bytes) {
  try {
    entry.lead_bytes = lead_bytes;
    entry.buffer = BufferLease(buffers_, lead_bytes + size_bytes);
    return decode(entry.buffer->span().subspan(lead_bytes));
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kNoMemory, "out of memory"};
  } catch (const std::exception& e) {
    return Error{ErrorCode::kIo, e.what()};
  }
}

void SegmentCache::Finish(const std::shared_ptr<Entry>& entry, Status status) {
  {
    std::lock_guard lock(mutex_);
    if (status.ok()) {
      entry->state = Entry::State::kReady;
      KeepLocked(*entry);
    } else {
      entry->error = std::move(status.error());
      entry->state = Entry::State::kFailed;
      entries_.erase(entry->id);
    }
  }
  decoded_.notify_all();
}

void SegmentCache::KeepLocked(const Entry& entry) {
  try {
    policy_->Added(entry.id);
    counts_.bytes += entry.buffer->capacity();
    EvictLocked();
  } catch (const std::bad_alloc&) {
    entries_.erase(entry.id);  // its readers have it; nobody else will
  }
}

void SegmentCache::EvictLocked() {
  while (counts_.bytes > counts_.budget_bytes) {
    RemoveLocked(policy_->Victim());
    ++counts_.evictions;
  }
}

std::shared_ptr<SegmentCache::Entry> SegmentCache::RemoveLocked(SegmentId id) {
  auto place = entries_.find(id);
  std::shared_ptr<Entry> entry = std::move(place->second);
  entries_.erase(place);
  counts_.bytes -= entry->buffer->capacity();
  policy_->Removed(id);
  return entry;
}

}  // namespace entrofs::cache
