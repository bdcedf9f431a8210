#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "archive/archive_reader.h"
#include "base/bytes.h"
#include "base/result.h"
#include "fs/drop_behind.h"
#include "fs/file_layout.h"
#include "fs/stats.h"
#include "view/view_reader.h"

namespace entrofs::fs {

// Segments as they come out of the archive: read, checked, decoded and counted. Thread-safe.
class SegmentSource {
 public:
  // `counters` must outlive this. `drop_behind`: take what was read out of the page cache.
  // `view` is one of `reader`.
  SegmentSource(std::unique_ptr<archive::ArchiveReader> reader, std::unique_ptr<view::ViewReader> view,
                bool drop_behind, Counters& counters);

  const view::ViewReader& view() const { return *view_; }

  // Decodes the whole segment of `piece` into `plain`, of piece.segment_bytes. Blocks on I/O and may throw
  // std::bad_alloc. Errors name tensor and segment.
  Status Decode(const Piece& piece, MutableByteSpan plain);

 private:
  using Scratch = view::ViewReader::Scratch;
  void NoteRead(const Piece& piece);
  std::unique_ptr<Scratch> TakeScratch();
  void PutScratch(std::unique_ptr<Scratch> scratch);

  const std::unique_ptr<archive::ArchiveReader> reader_;
  const std::unique_ptr<view::ViewReader> view_;
  std::unique_ptr<DropBehind> drop_behind_;  // null: the archive's pages are the kernel's business
  Counters& counters_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> idle_;  // last in, first out; as many as threads ever decoded at once
};

}  // namespace entrofs::fs
