#include "fs/segment_source.h"

#include <chrono>
#include <utility>

namespace entrofs::fs {

SegmentSource::SegmentSource(std::unique_ptr<archive::ArchiveReader> reader, std::unique_ptr<view::ViewReader> view,
                             bool drop_behind, Counters& counters)
    : reader_(std::move(reader)), view_(std::move(view)), counters_(counters) {
  if (!drop_behind) return;
  drop_behind_ = std::make_unique<DropBehind>(
      [this](uint64_t archive_offset, uint64_t length) { reader_->file().DropCached(archive_offset, length); });
}

Status SegmentSource::Decode(const Piece& piece, MutableByteSpan plain) {
  auto begin = std::chrono::steady_clock::now();
  std::unique_ptr<Scratch> scratch = TakeScratch();
  Status status = view_->ReadSegment(*piece.extent, piece.segment, *scratch, plain);
  PutScratch(std::move(scratch));
  std::chrono::nanoseconds elapsed = std::chrono::steady_clock::now() - begin;
  counters_.Add(Counter::kDecodeNanoseconds, static_cast<uint64_t>(elapsed.count()));
  if (status.ok()) {
    counters_.Add(Counter::kSegmentsDecoded);
    counters_.Add(Counter::kDecodedBytes, plain.size());
    if (drop_behind_) NoteRead(piece);
  } else {
    counters_.Add(Counter::kDecodeErrors);
  }
  return status;
}

void SegmentSource::NoteRead(const Piece& piece) {
  view_->VisitStored(*piece.extent, piece.segment, [this](const archive::Extent& extent, uint64_t segment) {
    Result<archive::ArchiveReader::StoredRange> place = reader_->FindSegment(extent, segment);
    if (place) drop_behind_->OnRead(place->archive_offset, place->stored_bytes);
  });
}

std::unique_ptr<SegmentSource::Scratch> SegmentSource::TakeScratch() {
  {
    std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Scratch> scratch = std::move(idle_.back());
      idle_.pop_back();
      return scratch;
    }
  }
  return std::make_unique<Scratch>();
}

void SegmentSource::PutScratch(std::unique_ptr<Scratch> scratch) {
  std::lock_guard lock(mutex_);
  idle_.push_back(std::move(scratch));
}

}  // namespace entrofs::fs
