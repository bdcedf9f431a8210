#include "fs/virtual_fs.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <mutex>
#include <new>
#include <utility>

#include "cache/lru_policy.h"
#include "cache/scan_policy.h"

namespace entrofs::fs {
namespace {

// Idle reply buffers: enough for a few requests of 1 MiB; more would only cool them.
constexpr size_t kIdleReplyBytes = 4 << 20;
// Smaller parts of cached segments are copied, which keeps the number of parts of a reply low.
constexpr size_t kCopyBelowBytes = 16 << 10;

// Larger requests mean that the kernel reads ahead by itself; decoding them straight into the reply is faster then. It
// never does so backwards.
constexpr size_t kPrefetchBelowBytes = 512 << 10;

// Decoded one after the other by a thread: enough that two threads seldom meet in one large page.
constexpr uint64_t kSegmentsPerRun = 16;

// The kernel copies replies into its pages page by page; it does so in one piece where the bytes lie in our pages as in
// its own.
size_t LeadBytes(const Piece& piece) { return piece.file_offset % Buffer::kPageBytes; }

// Counts a request as long as it lives.
class Busy {
 public:
  explicit Busy(std::atomic<size_t>& count) : count_(count) { ++count_; }
  ~Busy() { --count_; }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  std::atomic<size_t>& count_;
};

std::unique_ptr<cache::CachePolicy> MakePolicy(CachePolicyKind kind) {
  if (kind == CachePolicyKind::kScan) return std::make_unique<cache::ScanPolicy>();
  return std::make_unique<cache::LruPolicy>();
}

}  // namespace

void ReadReply::Append(ByteSpan bytes) {
  size_ += bytes.size();
  if (!parts_.empty() && parts_.back().data() + parts_.back().size() == bytes.data()) {
    parts_.back() = {parts_.back().data(), parts_.back().size() + bytes.size()};
  } else {
    parts_.push_back(bytes);
  }
}

Result<std::unique_ptr<VirtualFs>> VirtualFs::Create(std::unique_ptr<archive::ArchiveReader> reader,
                                                     const Options& options) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<view::ViewReader> view, view::ViewReader::Open(*reader, options.view));
  ENTROFS_ASSIGN_OR_RETURN(FileTree tree, FileTree::Build(view->files(), view->directories()));
  return std::unique_ptr<VirtualFs>(new VirtualFs(std::move(reader), std::move(view), std::move(tree), options));
}

VirtualFs::VirtualFs(std::unique_ptr<archive::ArchiveReader> reader, std::unique_ptr<view::ViewReader> view,
                     FileTree tree, const Options& options)
    : source_(std::move(reader), std::move(view), options.drop_archive_pages, counters_),
      tree_(std::move(tree)),
      reply_buffers_(std::make_shared<cache::BufferPool>(kIdleReplyBytes)),
      cache_(options.cache_bytes, MakePolicy(options.cache_policy)),
      releases_passed_(options.cache_policy == CachePolicyKind::kLru),
      threads_(std::max<size_t>(options.threads, 1)),
      prefetcher_({[this](const Prefetcher::Target& target) { Prefetch(target); },
                   [this](size_t file, Range segments) { Release(file, segments); }}) {
  SegmentNumbering numbering;
  layouts_.reserve(files().size());
  for (const view::File& file : files()) layouts_.emplace_back(file, numbering);
  if (threads_ > 1) pool_ = std::make_unique<ThreadPool>(threads_ - 1);
}

VirtualFs::~VirtualFs() = default;

Result<ReadReply> VirtualFs::Read(InodeNumber inode, uint64_t offset, size_t length, bool reads_ahead) {
  const Node* node = tree_.Find(inode);
  if (node == nullptr || node->is_folder()) return Error{ErrorCode::kInvalidArgument, "not a file"};
  counters_.Add(Counter::kReads);
  Busy busy(busy_);
  size_t available = offset < node->size_bytes ? std::min<uint64_t>(length, node->size_bytes - offset) : 0;
  std::vector<Piece> pieces = layouts_[node->file].Cut(offset, available);
  Prefetcher::Depth ahead;
  if (reads_ahead || available >= kPrefetchBelowBytes) ahead = {.forward = 0, .backward = 0};
  NotePlace(node->file, pieces, ahead);
  Result<ReadReply> reply = ReadPieces(pieces, available);
  if (!reply) {
    counters_.Add(Counter::kReadErrors);
    return std::move(reply.error()).WithContext(files()[node->file].path);
  }
  counters_.Add(Counter::kReadBytes, available);
  return reply;
}

Result<ReadReply> VirtualFs::ReadPieces(const std::vector<Piece>& pieces, size_t length) {
  ReadReply reply;
  reply.buffer_ = cache::BufferLease(reply_buffers_, length);
  std::vector<PieceResult> results(pieces.size());
  FetchAll(pieces, reply.buffer_->data(), results);
  for (PieceResult& result : results) {
    ENTROFS_RETURN_IF_ERROR(std::move(result.status));
    reply.Append(result.bytes);
    if (result.pin) reply.pins_.push_back(std::move(*result.pin));
  }
  return reply;
}

void VirtualFs::FetchAll(const std::vector<Piece>& pieces, uint8_t* buffer, std::vector<PieceResult>& results) {
  std::vector<size_t> offsets(pieces.size());
  for (size_t i = 1; i < pieces.size(); ++i) offsets[i] = offsets[i - 1] + pieces[i - 1].size;
  auto fetch = [&](size_t i) { results[i] = Fetch(pieces[i], {buffer + offsets[i], pieces[i].size}); };
  // A lone request is spread over the pool; many at once keep the threads busy by themselves.
  if (pool_ && pieces.size() > 1 && busy_ < threads_) {
    pool_->ParallelFor(pieces.size(), fetch);
  } else {
    for (size_t i = 0; i < pieces.size(); ++i) fetch(i);
  }
}

// Runs on pool threads, which must not see exceptions.
VirtualFs::PieceResult VirtualFs::Fetch(const Piece& piece, MutableByteSpan space) try {
  if (piece.is_whole()) return FetchWhole(piece, space);
  Result<cache::SegmentCache::Pinned> segment = GetCached(piece);
  if (!segment) return {{}, std::nullopt, std::move(segment.error())};
  ByteSpan wanted = segment->bytes().subspan(piece.begin, piece.size);
  if (piece.size >= kCopyBelowBytes) return {wanted, std::move(*segment), OkStatus()};
  std::memcpy(space.data(), wanted.data(), wanted.size());
  return {space, std::nullopt, OkStatus()};
} catch (const std::bad_alloc&) {
  return {{}, std::nullopt, Error{ErrorCode::kNoMemory, "out of memory"}};
}

// Straight into the reply, unless the segment is at hand or the cache wants it.
VirtualFs::PieceResult VirtualFs::FetchWhole(const Piece& piece, MutableByteSpan space) {
  std::optional<Result<cache::SegmentCache::Pinned>> segment = cache_.GetWhole(
      piece.id, piece.segment_bytes, [&](MutableByteSpan plain) { return source_.Decode(piece, plain); },
      LeadBytes(piece));
  if (!segment) return {space, std::nullopt, source_.Decode(piece, space)};
  if (!*segment) return {{}, std::nullopt, std::move(segment->error())};
  ByteSpan bytes = (*segment)->bytes();
  if (piece.size >= kCopyBelowBytes) return {bytes, std::move(**segment), OkStatus()};
  std::memcpy(space.data(), bytes.data(), bytes.size());
  return {space, std::nullopt, OkStatus()};
}

Result<cache::SegmentCache::Pinned> VirtualFs::GetCached(const Piece& piece) {
  return cache_.Get(
      piece.id, piece.segment_bytes, [&](MutableByteSpan plain) { return source_.Decode(piece, plain); },
      LeadBytes(piece));
}

void VirtualFs::NotePlace(size_t file, const std::vector<Piece>& pieces, const Prefetcher::Depth& ahead) {
  if (pieces.empty()) return;
  prefetcher_.OnRead(file, layouts_[file].segment_count(), {pieces.front().ordinal, pieces.back().ordinal + 1}, ahead);
}

// Their memory serves the next segments while the CPU cache still holds it.
void VirtualFs::Release(size_t file, Range segments) {
  if (!releases_passed_) return;
  const FileLayout& layout = layouts_[file];
  for (uint64_t ordinal = segments.begin; ordinal < std::min(segments.end, layout.segment_count()); ++ordinal) {
    cache_.Drop(layout.WholeSegment(ordinal).id);
  }
}

// Runs on the prefetcher's thread, which must not see exceptions. Errors wait for the reader who really wants the
// segment.
void VirtualFs::Prefetch(const Prefetcher::Target& target) try {
  Piece piece = layouts_[target.file].WholeSegment(target.ordinal);
  if (cache_.Contains(piece.id)) return;
  Status status = cache_.Prepare(
      piece.id, piece.segment_bytes, [&](MutableByteSpan plain) { return source_.Decode(piece, plain); },
      LeadBytes(piece));
  if (status.ok()) counters_.Add(Counter::kSegmentsPrefetched);
} catch (const std::bad_alloc&) {
  // Without memory there is nothing to do ahead.
}

Status VirtualFs::DecodeFile(size_t file, MutableByteSpan plain, const GoesOn& goes_on) {
  const uint64_t segments = layouts_[file].segment_count();
  const uint64_t runs = (segments + kSegmentsPerRun - 1) / kSegmentsPerRun;
  std::atomic<bool> ends{false};
  std::mutex mutex;
  Status first_error = OkStatus();
  const auto decode = [&](size_t run) {
    if (ends) return;
    const uint64_t begin = run * kSegmentsPerRun;
    Status status = DecodeRun(file, begin, std::min(begin + kSegmentsPerRun, segments), plain, goes_on);
    if (status.ok() || ends.exchange(true)) return;
    std::lock_guard lock(mutex);
    first_error = std::move(status);
  };
  if (pool_) {
    pool_->ParallelFor(runs, decode);
  } else {
    for (uint64_t run = 0; run < runs; ++run) decode(run);
  }
  if (!first_error) return std::move(first_error.error()).WithContext(files()[file].path);
  return OkStatus();
}

// Runs on pool threads, which must not see exceptions.
Status VirtualFs::DecodeRun(size_t file, uint64_t begin, uint64_t end, MutableByteSpan plain,
                            const GoesOn& goes_on) try {
  uint64_t decoded_bytes = 0;
  for (uint64_t ordinal = begin; ordinal < end; ++ordinal) {
    const Piece piece = layouts_[file].WholeSegment(ordinal);
    ENTROFS_RETURN_IF_ERROR(source_.Decode(piece, plain.subspan(piece.file_offset, piece.segment_bytes)));
    decoded_bytes += piece.segment_bytes;
  }
  return goes_on(decoded_bytes);
} catch (const std::bad_alloc&) {
  return Error{ErrorCode::kNoMemory, "out of memory"};
}

Range VirtualFs::SegmentAt(InodeNumber inode, uint64_t offset) const {
  const Piece piece = layouts_[tree_.Find(inode)->file].Cut(offset, 1).front();
  const uint64_t begin = offset - piece.begin;
  return {begin, begin + piece.segment_bytes};
}

CounterValues VirtualFs::counters() const {
  CounterValues values = counters_.values();
  cache::SegmentCache::Counts cache = cache_.counts();
  auto set = [&](Counter counter, uint64_t value) { values[static_cast<size_t>(counter)] = value; };
  set(Counter::kCacheHits, cache.hits);
  set(Counter::kCacheJoins, cache.joins);
  set(Counter::kCacheMisses, cache.misses);
  set(Counter::kCacheEvictions, cache.evictions);
  set(Counter::kCacheBytes, cache.bytes);
  set(Counter::kCacheBudgetBytes, cache.budget_bytes);
  return values;
}

}  // namespace entrofs::fs
