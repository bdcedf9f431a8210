#pragma once

#include <cstdint>
#include <functional>

#include "archive/archive_reader.h"
#include "base/result.h"
#include "base/thread_pool.h"

namespace entrofs::packer::read {

// One segment of a virtual file, as StreamFile hands it over.
struct StreamedSegment {
  const archive::Extent& extent;
  uint64_t segment;        // of the extent
  uint64_t offset;         // in the virtual file
  Result<ByteSpan> bytes;  // or why they cannot be had; valid during the call
};
using SegmentSink = std::function<Status(StreamedSegment)>;

// Decodes all segments of `file`, one of the reader's index, on `pool` and hands them to `sink` in order, on the
// calling thread. Stops with the first error of the sink. Memory is bounded. Must not be called from a job of the pool.
Status StreamFile(const archive::ArchiveReader& reader, const archive::VirtualFile& file, ThreadPool& pool,
                  const SegmentSink& sink);

}  // namespace entrofs::packer::read
