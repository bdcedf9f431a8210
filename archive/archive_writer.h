#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "archive/format.h"
#include "base/file.h"
#include "base/result.h"
#include "base/thread_pool.h"

namespace entrofs::archive {

// Writes an archive front to back with bounded memory: segments are encoded on a pool and appended in order, so the
// bytes do not depend on the thread count. Call order: AddTable at any time before the extent that uses it;
// BeginFile, AddExtent / AddSharedExtent ..., EndFile per virtual file; AddPoolExtent between files; Finish once. Not
// thread-safe. After an error only destruction is allowed, which leaves no file behind.
//
// With views: NameTree once; then per view BeginView, BeginFile, AddPart ..., EndFile (or AddViewFile) per file,
// EndView. Extents are named by handles: HandleOf a stored one, or what AddDerived returned.
class ArchiveWriter {
 public:
  // `pool` must outlive the writer. The archive appears at the path of `file` on Finish.
  ArchiveWriter(std::unique_ptr<NewFile> file, ThreadPool& pool);
  ~ArchiveWriter();

  // Writes the header. Call first.
  Status Start();

  // Identical tables get the same number.
  uint32_t AddTable(codec::CodecKind kind, ByteSpan serialized);

  // kInvalidArgument when the path is unsafe, was used before or is a directory. Files may come in any order. Write
  // bits of `mode` are dropped.
  Status BeginFile(const std::string& path, uint32_t mode, int64_t mtime_ns);

  // Fills the span with the bytes at `offset` of the extent. Called from pool threads, several at once, in any order
  // and possibly more than once for the same bytes; must always give the same bytes.
  using Source = std::function<Status(uint64_t offset, MutableByteSpan out)>;

  struct ExtentOptions {
    std::string name;
    uint64_t plain_bytes = 0;
    uint32_t segment_bytes = codec::kDefaultSegmentBytes;
    codec::Layout layout;
    std::vector<codec::PlaneEncoder> planes;
    std::vector<uint32_t> tables;  // per plane: number from AddTable or kNoTable
  };
  // Reads plain_bytes from `source`, encodes and appends them. Holds at most a few segments per pool thread.
  // Returns the extent as recorded, with its stored_bytes. Blocks; must not be called from a job of the pool.
  Result<Extent> AddExtent(const ExtentOptions& options, const Source& source);

  // Appends an extent that shows the bytes of one written before (exact duplicates are stored once). `source` gives the
  // same bytes again, for the hash of the virtual file.
  Status AddSharedExtent(const Extent& written, const std::string& name, const Source& source);

  Status EndFile();
  // Directories that files imply need not be given, but may.
  Status AddDirectory(const std::string& path);

  // As AddExtent, of an extent that no file of the stored tree shows. It must have bytes, and a view must use it.
  Result<Extent> AddPoolExtent(const ExtentOptions& options, const Source& source);

  // What names a written extent in derived extents and views. kInvalidArgument for one without bytes.
  Result<uint32_t> HandleOf(const Extent& written) const;
  // An extent computed from stored ones, which its inputs name by handles. Its sizes are checked here
  // (kInvalidArgument). Equal ones are kept once. A view must use it.
  Result<uint32_t> AddDerived(const DerivedExtent& derived);

  // Makes this an archive with views: the files outside of views are the view `tree_name` ("" when there are none), and
  // readers who ask for no view get `default_view`, which may be that one.
  Status NameTree(const std::string& tree_name, const std::string& default_view);
  Status BeginView(const std::string& name);
  // In a file of a view: its next bytes are those of the extent of this handle. `source` gives them, for the hash.
  Status AddPart(uint32_t handle, const Source& source);
  // In a view, instead of BeginFile to EndFile: a file whose hash is known, with handles as its extents. Its size is
  // computed here.
  Status AddViewFile(const ViewFile& file);
  Status EndView();

  // Writes report, index and footer. `report_json` is opaque here and comes back from ArchiveReader::ReadReport. The
  // file is complete but still under its temporary name; `verify` (may be null) may open that name and veto. Then
  // commits. Returns the archive's size in bytes.
  using Verify = std::function<Status(const std::string& temporary_path)>;
  Result<uint64_t> Finish(const std::string& report_json, const Verify& verify);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace entrofs::archive
