#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "archive/archive_reader.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/result.h"
#include "view/input_cache.h"

namespace entrofs::view {

// The names of an archive's views, the stored tree's among them, the default one first. Empty for an archive without
// views, which shows its files.
std::vector<std::string> ViewNames(const archive::Index& index);

// A run of bytes of a file, cut into segments of segment_bytes (the last may be shorter): either stored or derived. Has
// bytes always.
struct ViewExtent {
  const archive::Extent* stored = nullptr;  // exactly one of these two is not null
  const archive::DerivedExtent* derived = nullptr;
  uint32_t number = 0;  // in the archive: extents of the same number have the same bytes and segments
  uint32_t segment_bytes = 0;
  uint64_t plain_bytes = 0;
  uint64_t file_offset_bytes = 0;  // of its first byte in the file

  uint64_t segment_count() const { return (plain_bytes - 1) / segment_bytes + 1; }
  size_t SegmentBytes(uint64_t segment) const {
    return static_cast<size_t>(std::min<uint64_t>(segment_bytes, plain_bytes - segment * segment_bytes));
  }
  const std::string& name() const { return stored != nullptr ? stored->name : derived->name; }
};

struct File {
  std::string path;
  uint32_t mode = 0444;
  int64_t mtime_ns = 0;
  uint64_t size_bytes = 0;
  Hash128 hash{};  // XXH3-128 of the whole content
  std::vector<ViewExtent> extents;
};

// One view of an archive: its files, and any bytes of them. Serves archives without views likewise. Immutable but for a
// small cache of parameters; all methods are thread-safe (with one Scratch per thread).
class ViewReader {
 public:
  // Decoded scales and zero points that are kept: a segment of codes needs a small part of a segment of scales.
  static constexpr size_t kDefaultCacheBytes = 8 << 20;
  // Segments of derived extents are as long as what one segment of their codes gives, within these bounds.
  static constexpr uint32_t kMaxSegmentBytes = 4 << 20;
  static constexpr uint32_t kUsualSegmentBytes = 512 << 10;  // where segments of codes and bytes do not correspond

  // `reader` must outlive this. `name`: one of ViewNames, or "" for the default, which is all there is without views.
  // kInvalidArgument, listing the names, when there is no such view.
  static Result<std::unique_ptr<ViewReader>> Open(const archive::ArchiveReader& reader, std::string_view name,
                                                  size_t cache_bytes = kDefaultCacheBytes);

  const std::string& name() const { return name_; }  // "" for an archive without views
  const std::vector<std::string>& directories() const { return *directories_; }
  const std::vector<File>& files() const { return files_; }  // sorted by path
  uint64_t size_bytes() const;                               // of all files
  const archive::ArchiveReader& archive() const { return reader_; }

  // Working memory of one thread.
  struct Scratch {
    archive::ArchiveReader::ReadScratch read;
    Buffer segment;
    std::array<Buffer, 4> inputs;
  };

  // Fills `plain`, of extent.SegmentBytes(segment), with a segment of an extent of files(). Checksums of all stored
  // bytes that are used are verified before this returns. kCorrupt and kIo messages name the stored tensor and segment
  // that failed. Blocks on I/O. May throw std::bad_alloc.
  Status ReadSegment(const ViewExtent& extent, uint64_t segment, Scratch& scratch, MutableByteSpan plain) const;

  // The bytes [offset, offset + out.size()) of a file, one of files(), on the calling thread. As ReadSegment; messages
  // begin with the file's path. kInvalidArgument when the range is not inside the file.
  Status ReadRange(const File& file, uint64_t offset_bytes, Scratch& scratch, MutableByteSpan out) const;

  // Calls use(stored extent, segment) for every stored segment that ReadSegment decodes, for whoever fetches,
  // prefetches or drops stored bytes. Parameters that are cached are among them.
  using UseStored = std::function<void(const archive::Extent& extent, uint64_t segment)>;
  void VisitStored(const ViewExtent& extent, uint64_t segment, const UseStored& use) const;

 private:
  ViewReader(const archive::ArchiveReader& reader, size_t cache_bytes);
  void LoadTree();
  void LoadView(const archive::View& view);
  ViewExtent ExtentOf(uint32_t number) const;
  Status ReadPart(const ViewExtent& extent, uint64_t offset_bytes, Scratch& scratch, MutableByteSpan out) const;
  Status ReadDerived(const archive::DerivedExtent& derived, uint64_t offset_bytes, Scratch& scratch,
                     MutableByteSpan out) const;
  Result<ByteSpan> ReadCodes(uint32_t number, uint64_t offset, size_t length, Scratch& scratch) const;
  Status ReadParameters(uint32_t number, uint64_t offset, Scratch& scratch, MutableByteSpan out) const;
  Result<InputCache::Segment> ParameterSegment(uint32_t number, uint64_t segment, Scratch& scratch) const;

  const archive::ArchiveReader& reader_;
  const std::vector<const archive::Extent*> stored_;  // by number
  std::string name_;
  const std::vector<std::string>* directories_ = nullptr;
  std::vector<File> files_;
  mutable InputCache cache_;
};

}  // namespace entrofs::view
