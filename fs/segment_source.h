#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "archive/archive_reader.h"
#include "base/bytes.h"
#include "base/result.h"
#include "fs/file_layout.h"
#include "fs/stats.h"

namespace entrofs::fs {

// Segments as they come out of the archive: read, checked, decoded and counted. Thread-safe.
class SegmentSource {
 public:
  // `counters` must outlive this.
  SegmentSource(std::unique_ptr<archive::ArchiveReader> reader, Counters& counters);

  const archive::ArchiveReader& reader() const { return *reader_; }

  // Decodes the whole segment of `piece` into `plain`, of piece.segment_bytes. Blocks on I/O and may throw
  // std::bad_alloc. Errors name tensor and segment.
  Status Decode(const Piece& piece, MutableByteSpan plain);

 private:
  using Scratch = archive::ArchiveReader::ReadScratch;
  std::unique_ptr<Scratch> TakeScratch();
  void PutScratch(std::unique_ptr<Scratch> scratch);

  const std::unique_ptr<archive::ArchiveReader> reader_;
  Counters& counters_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> idle_;  // last in, first out; as many as threads ever decoded at once
};

}  // namespace entrofs::fs
