#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "archive/format.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/result.h"
#include "codec/codec.h"

namespace entrofs::archive {

// Reads an archive. Immutable after Open; all methods are thread-safe (with one ReadScratch per thread). Only the index
// is held in memory; pages of the segment index are read when first needed and kept, tables are parsed when needed.
// Nothing is remembered of a failed read, so a device that recovers is read again.
class ArchiveReader {
 public:
  // Reads and validates header, footer and index. kCorrupt, kUnsupported (version, flags) or kIo; messages begin with
  // `name`.
  static Result<std::unique_ptr<ArchiveReader>> Open(std::unique_ptr<RandomAccessFile> file, std::string name);
  ~ArchiveReader();

  const Index& index() const;
  uint64_t archive_bytes() const;

  // What the packer kept about the archive: JSON text, opaque here, not needed to read files. Blocks on I/O.
  Result<std::string> ReadReport() const;

  // Working memory of one thread.
  struct ReadScratch {
    Buffer stored;
    codec::Scratch codec;
  };

  // Decodes segment `segment` of `extent` (one of index()) into `plain`, whose size must be SegmentBytes(). The
  // checksum is verified before this returns. kCorrupt and kIo messages name tensor, segment and archive offset. Blocks
  // on I/O (a view of the stored segment, or one pread of exactly that, and at most one of its index page).
  Status ReadSegment(const Extent& extent, uint64_t segment, ReadScratch& scratch, MutableByteSpan plain) const;

  // Plain bytes of a segment: segment_bytes, or what is left for the last.
  static size_t SegmentBytes(const Extent& extent, uint64_t segment);

  // Reads `length` bytes at `offset` of the extent on the calling thread; convenient, not fast.
  Status ReadRange(const Extent& extent, uint64_t offset, ReadScratch& scratch, MutableByteSpan out) const;

  // Place of a stored segment in the archive file, checksum included.
  struct StoredRange {
    uint64_t archive_offset;
    uint32_t stored_bytes;
  };
  Result<StoredRange> FindSegment(const Extent& extent, uint64_t segment) const;

  // As ReadSegment, from bytes the caller has read or mapped: `stored` is what FindSegment says, found at
  // `archive_offset`, with codec::kReadSlackBytes more readable behind it. No I/O.
  Status DecodeStored(const Extent& extent, uint64_t segment, uint64_t archive_offset, ByteSpan stored,
                      codec::Scratch& scratch, MutableByteSpan plain) const;

  const RandomAccessFile& file() const;

 private:
  struct Impl;
  explicit ArchiveReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace entrofs::archive
