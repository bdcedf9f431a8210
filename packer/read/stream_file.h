#pragma once

#include <cstdint>
#include <functional>

#include "base/bytes.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "view/view_reader.h"

namespace entrofs::packer::read {

// One segment of a file, as StreamFile hands it over.
struct StreamedSegment {
  const view::ViewExtent& extent;
  uint64_t segment;        // of the extent
  uint64_t offset;         // in the file
  Result<ByteSpan> bytes;  // or why they cannot be had; valid during the call
};
using SegmentSink = std::function<Status(StreamedSegment)>;

// Decodes all segments of `file`, one of the view's, on `pool` and hands them to `sink` in order, on the
// calling thread. Stops with the first error of the sink. Memory is bounded. Must not be called from a job of the pool.
Status StreamFile(const view::ViewReader& view, const view::File& file, ThreadPool& pool, const SegmentSink& sink);

}  // namespace entrofs::packer::read
