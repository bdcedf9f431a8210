#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/archive_reader.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "cache/buffer_pool.h"
#include "cache/segment_cache.h"
#include "fs/file_layout.h"
#include "fs/file_tree.h"
#include "fs/mount_options.h"
#include "fs/prefetcher.h"
#include "fs/range.h"
#include "fs/segment_source.h"
#include "fs/stats.h"

namespace entrofs::fs {

// The bytes of one read. They stay readable as long as this object lives. Movable.
class ReadReply {
 public:
  // The bytes, in order and never more than a few dozen parts per MiB.
  const std::vector<ByteSpan>& parts() const { return parts_; }
  size_t size() const { return size_; }

 private:
  friend class VirtualFs;
  void Append(ByteSpan bytes);

  std::vector<ByteSpan> parts_;
  size_t size_ = 0;
  cache::BufferLease buffer_;
  std::vector<cache::SegmentCache::Pinned> pins_;
};

// An archive as a read-only file system: names to nodes, byte ranges to decoded bytes. Knows nothing of FUSE.
// Thread-safe.
class VirtualFs {
 public:
  struct Options {
    size_t cache_bytes = 16 << 20;
    CachePolicyKind cache_policy = CachePolicyKind::kLru;
    // Threads that decode for one request when no other requests keep them busy, the caller included.
    size_t threads = 1;
    std::string view = {};  // its name; empty: the archive's default one
    // Take the archive's pages out of the page cache once they are decoded.
    bool drop_archive_pages = true;
  };
  // Starts threads. kCorrupt when the archive's paths contradict each other, kInvalidArgument when it has no
  // such view.
  static Result<std::unique_ptr<VirtualFs>> Create(std::unique_ptr<archive::ArchiveReader> reader,
                                                   const Options& options);
  ~VirtualFs();

  const FileTree& tree() const { return tree_; }
  const std::vector<view::File>& files() const { return source_.view().files(); }

  // The bytes [offset, offset + length) of a file, cut at its end and never short otherwise. kInvalidArgument when
  // `inode` is not a file. Other errors begin with the virtual file's path and fail the whole read. Blocks.
  // `reads_ahead`: the kernel asks for far more than its readers do, so we need not decode ahead of them.
  Result<ReadReply> Read(InodeNumber inode, uint64_t offset, size_t length, bool reads_ahead = false);

  // Decodes a whole file (by its place in files()) into `plain`, of its size, on all threads, which call
  // `goes_on` for every few segments they have decoded. When it fails, so does this. Other errors as those of Read.
  using GoesOn = std::function<Status(uint64_t decoded_bytes)>;
  Status DecodeFile(size_t file, MutableByteSpan plain, const GoesOn& goes_on);

  // The bytes of the segment that holds that byte. Requires: `inode` is a file, longer than `offset`.
  Range SegmentAt(InodeNumber inode, uint64_t offset) const;

  // How many decoded bytes may be held from now on.
  void SetCacheBudget(size_t budget_bytes) { cache_.SetBudget(budget_bytes); }

  CounterValues counters() const;

 private:
  struct PieceResult {
    ByteSpan bytes;
    std::optional<cache::SegmentCache::Pinned> pin;
    Status status;
  };

  VirtualFs(std::unique_ptr<archive::ArchiveReader> reader, std::unique_ptr<view::ViewReader> view, FileTree tree,
            const Options& options);
  Result<ReadReply> ReadPieces(const std::vector<Piece>& pieces, size_t length);
  void FetchAll(const std::vector<Piece>& pieces, uint8_t* buffer, std::vector<PieceResult>& results);
  PieceResult Fetch(const Piece& piece, MutableByteSpan space);
  Status DecodeRun(size_t file, uint64_t begin, uint64_t end, MutableByteSpan plain, const GoesOn& goes_on);
  PieceResult FetchWhole(const Piece& piece, MutableByteSpan space);
  void NotePlace(size_t file, const std::vector<Piece>& pieces, const Prefetcher::Depth& ahead);
  void Prefetch(const Prefetcher::Target& target);
  void Release(size_t file, Range segments);
  Result<cache::SegmentCache::Pinned> GetCached(const Piece& piece);

  Counters counters_;
  SegmentSource source_;
  const FileTree tree_;
  std::vector<FileLayout> layouts_;  // as files()
  const std::shared_ptr<cache::BufferPool> reply_buffers_;
  cache::SegmentCache cache_;
  const bool releases_passed_;  // the next sweep is the kernel's business
  const size_t threads_;
  std::atomic<size_t> busy_{0};       // requests being answered
  std::unique_ptr<ThreadPool> pool_;  // null when requests have only their own thread
  Prefetcher prefetcher_;             // uses the rest, so ends first
};

}  // namespace entrofs::fs
