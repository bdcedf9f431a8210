#pragma once

#include <functional>
#include <span>
#include <vector>

#include "archive/format.h"
#include "base/buffer.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "codec/codec.h"

namespace entrofs::archive {

// Produces the segments of an extent on a pool and hands them over in order. Not thread-safe.
class SegmentPipeline {
 public:
  // Fills the span with the plain bytes at `offset` of the extent; called from pool threads, several at once.
  using Source = std::function<Status(uint64_t offset, MutableByteSpan out)>;
  // Appends the stored form of `plain` to `stored`; called from pool threads with a Scratch of its own.
  using Encode = std::function<void(ByteSpan plain, codec::Scratch& scratch, std::vector<uint8_t>& stored)>;
  // Takes segments in order, on the thread that called Run.
  using Sink = std::function<Status(ByteSpan plain, MutableByteSpan stored)>;

  // `pool` must outlive the pipeline.
  explicit SegmentPipeline(ThreadPool& pool) : pool_(pool) {}

  // Returns when every segment was taken, or with the first error, of the source or the sink, in segment order; no job
  // runs afterwards. A failed allocation or an exception of the source is an error like others. Must not be called from
  // a job of the pool.
  Status Run(const Extent& extent, const Source& source, const Encode& encode, const Sink& sink);

  // Segments in flight at once: enough to keep the pool busy while the oldest is written, and at most kMemoryBytes.
  static size_t SlotCount(size_t thread_count, size_t segment_bytes);

 private:
  static constexpr size_t kMemoryBytes = 96 << 20;
  struct Slot;
  struct Shared;

  ThreadPool& pool_;
};

}  // namespace entrofs::archive
