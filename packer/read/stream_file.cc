#include "packer/read/stream_file.h"

#include <algorithm>
#include <vector>

namespace entrofs::packer::read {
namespace {

constexpr size_t kBatchBytes = 32 << 20;

struct Slot {
  const view::ViewExtent* extent = nullptr;
  uint64_t segment = 0;
  uint64_t offset = 0;
  Buffer plain;
  Status status;
  view::ViewReader::Scratch scratch;
};

// Walks the segments of a file's extents.
class SegmentCursor {
 public:
  explicit SegmentCursor(const view::File& file) : file_(file) {}

  // Fills in the place of the next segment; false at the end.
  bool Next(Slot& slot) {
    while (extent_ < file_.extents.size() && segment_ == file_.extents[extent_].segment_count()) {
      ++extent_;
      segment_ = 0;
    }
    if (extent_ == file_.extents.size()) return false;
    slot.extent = &file_.extents[extent_];
    slot.segment = segment_++;
    slot.offset = offset_;
    slot.plain.Reserve(slot.extent->SegmentBytes(slot.segment));
    offset_ += slot.plain.size();
    return true;
  }

 private:
  const view::File& file_;
  size_t extent_ = 0;
  uint64_t segment_ = 0;
  uint64_t offset_ = 0;
};

size_t LargestSegment(const view::File& file) {
  size_t largest = codec::kMinSegmentBytes;
  for (const view::ViewExtent& extent : file.extents) largest = std::max<size_t>(largest, extent.segment_bytes);
  return largest;
}

}  // namespace

Status StreamFile(const view::ViewReader& view, const view::File& file, ThreadPool& pool, const SegmentSink& sink) {
  std::vector<Slot> slots(std::clamp<size_t>(kBatchBytes / LargestSegment(file), 1, 8 * (pool.thread_count() + 1)));
  SegmentCursor cursor(file);
  for (;;) {
    size_t count = 0;
    while (count < slots.size() && cursor.Next(slots[count])) ++count;
    if (count == 0) return OkStatus();
    pool.ParallelFor(count, [&](size_t i) {
      Slot& slot = slots[i];
      slot.status = view.ReadSegment(*slot.extent, slot.segment, slot.scratch, slot.plain.span());
    });
    for (size_t i = 0; i < count; ++i) {
      Slot& slot = slots[i];
      Result<ByteSpan> bytes = slot.status ? Result<ByteSpan>(ByteSpan(slot.plain.span()))
                                           : Result<ByteSpan>(std::move(slot.status.error()));
      ENTROFS_RETURN_IF_ERROR(sink({*slot.extent, slot.segment, slot.offset, std::move(bytes)}));
    }
  }
}

}  // namespace entrofs::packer::read
