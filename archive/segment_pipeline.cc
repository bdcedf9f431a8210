#include "archive/segment_pipeline.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>

namespace entrofs::archive {

// One segment in flight. Owned by its job until `done`, then by the thread in Run.
struct SegmentPipeline::Slot {
  Buffer plain;
  std::vector<uint8_t> stored;
  Status status;
  bool done = true;
};

struct SegmentPipeline::Shared {
  Shared(const Extent& e, const Source& s, const Encode& c) : extent(e), source(s), encode(c) {}

  const Extent& extent;
  const Source& source;
  const Encode& encode;
  std::mutex mutex;
  std::condition_variable finished;
  size_t running = 0;
  std::vector<std::unique_ptr<codec::Scratch>> idle_scratches;

  std::unique_ptr<codec::Scratch> TakeScratch() {
    std::lock_guard lock(mutex);
    if (idle_scratches.empty()) return std::make_unique<codec::Scratch>();
    auto scratch = std::move(idle_scratches.back());
    idle_scratches.pop_back();
    return scratch;
  }

  void Produce(Slot& slot, uint64_t segment) {
    auto scratch = TakeScratch();
    slot.plain.Reserve(SegmentPlainBytes(extent, segment));
    slot.stored.clear();
    slot.status = source(segment * extent.segment_bytes, slot.plain.span());
    if (slot.status.ok() && encode) encode(slot.plain.span(), *scratch, slot.stored);
    std::lock_guard lock(mutex);
    idle_scratches.push_back(std::move(scratch));
  }

  void RunJob(Slot& slot, uint64_t segment) {
    try {
      Produce(slot, segment);
    } catch (const std::bad_alloc&) {
      slot.status = Error{ErrorCode::kNoMemory, "out of memory"};
    } catch (const std::exception& e) {
      slot.status = Error{ErrorCode::kIo, e.what()};
    }
    End(slot);
  }

  void End(Slot& slot) {
    std::lock_guard lock(mutex);
    slot.done = true;
    --running;
    finished.notify_all();
  }

  void WaitFor(const Slot& slot) {
    std::unique_lock lock(mutex);
    finished.wait(lock, [&] { return slot.done; });
  }

  // Jobs refer to this and to the slots, so Run must not leave before they ended, however it leaves.
  void WaitForAll() {
    std::unique_lock lock(mutex);
    finished.wait(lock, [&] { return running == 0; });
  }
};

size_t SegmentPipeline::SlotCount(size_t thread_count, size_t segment_bytes) {
  size_t wanted = 2 * thread_count + 1;
  size_t affordable = kMemoryBytes / (2 * segment_bytes);  // plain and stored
  return std::max<size_t>(2, std::min(wanted, affordable));
}

Status SegmentPipeline::Run(const Extent& extent, const Source& source, const Encode& encode, const Sink& sink) {
  const uint64_t segment_count = extent.segment_count();
  Shared shared(extent, source, encode);
  std::vector<Slot> slots(std::min<uint64_t>(SlotCount(pool_.thread_count(), extent.segment_bytes), segment_count));
  struct WaitAtExit {
    Shared& shared;
    ~WaitAtExit() { shared.WaitForAll(); }
  } wait_at_exit{shared};

  auto submit = [&](uint64_t segment) {
    Slot& slot = slots[segment % slots.size()];
    {
      std::lock_guard lock(shared.mutex);
      slot.done = false;
      ++shared.running;
    }
    try {
      pool_.Submit([&shared, &slot, segment] { shared.RunJob(slot, segment); });
    } catch (...) {
      shared.End(slot);
      throw;
    }
  };
  for (uint64_t segment = 0; segment < slots.size(); ++segment) submit(segment);
  for (uint64_t segment = 0; segment < segment_count; ++segment) {
    Slot& slot = slots[segment % slots.size()];
    shared.WaitFor(slot);
    if (!slot.status) return std::move(slot.status.error());
    ENTROFS_RETURN_IF_ERROR(sink(slot.plain.span(), slot.stored));
    if (segment + slots.size() < segment_count) submit(segment + slots.size());
  }
  return OkStatus();
}

}  // namespace entrofs::archive
