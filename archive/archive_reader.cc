#include "archive/archive_reader.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <utility>

#include "archive/paths.h"
#include "archive/table_cache.h"

namespace entrofs::archive {
namespace {

// The loaded index pages of all extents. Pages are added by whoever needs them first and stay until the end. Compact: a
// checkpoint may have a hundred thousand tensors.
class PageDirectory {
 public:
  PageDirectory() = default;
  ~PageDirectory() {
    for (auto& page : pages_) delete page.load();
  }
  PageDirectory(const PageDirectory&) = delete;
  PageDirectory& operator=(const PageDirectory&) = delete;

  // Makes room for the pages of all extents; extents that share their bytes share their pages.
  void Prepare(const Index& index) {
    std::vector<std::pair<uint64_t, uint64_t>> page_counts;
    ForEachExtent(index, [&](const Extent& extent) {
      if (extent.plain_bytes > 0) page_counts.emplace_back(extent.index_archive_offset, PageCount(extent));
    });
    std::sort(page_counts.begin(), page_counts.end());
    page_counts.erase(std::unique(page_counts.begin(), page_counts.end()), page_counts.end());
    uint64_t total = 0;
    for (auto [archive_offset, page_count] : page_counts) {
      first_pages_.push_back({archive_offset, total});
      total += page_count;
    }
    pages_ = std::vector<std::atomic<const IndexPage*>>(total);
  }

  const IndexPage* Find(const Extent& extent, uint64_t page) const {
    return pages_[Number(extent, page)].load(std::memory_order_acquire);
  }

  // Keeps `page` unless another thread was faster; returns what is kept.
  const IndexPage* Add(const Extent& extent, uint64_t number, std::unique_ptr<const IndexPage> page) {
    const IndexPage* kept = nullptr;
    auto& slot = pages_[Number(extent, number)];
    if (slot.compare_exchange_strong(kept, page.get(), std::memory_order_acq_rel)) return page.release();
    return kept;
  }

 private:
  struct FirstPage {
    uint64_t index_archive_offset;
    uint64_t number;  // in pages_
  };

  static uint64_t PageCount(const Extent& extent) {
    return (extent.segment_count() + kSegmentsPerIndexPage - 1) / kSegmentsPerIndexPage;
  }

  uint64_t Number(const Extent& extent, uint64_t page) const {
    auto first = std::lower_bound(first_pages_.begin(), first_pages_.end(), extent.index_archive_offset,
                                  [](const FirstPage& f, uint64_t offset) { return f.index_archive_offset < offset; });
    assert(first != first_pages_.end() && first->index_archive_offset == extent.index_archive_offset);
    return first->number + page;
  }

  std::vector<FirstPage> first_pages_;  // sorted
  std::vector<std::atomic<const IndexPage*>> pages_;
};

// Reads and checks a block; `what` names it in messages.
Result<std::vector<uint8_t>> ReadBlock(const RandomAccessFile& file, const Block& block, const char* what) {
  std::vector<uint8_t> stored(block.stored_bytes);
  ENTROFS_RETURN_IF_ERROR(file.ReadAt(block.archive_offset, stored));
  if (Hash64(stored, block.archive_offset) != block.hash) {
    return Error{ErrorCode::kCorrupt, std::string(what) + ": checksum mismatch"};
  }
  auto plain = DecompressBlock(block, stored);
  if (!plain) return std::move(plain.error()).WithContext(what);
  return plain;
}

Status CheckSegment(ByteSpan stored, uint64_t archive_offset) {
  if (stored.size() < kMinStoredSegmentBytes) return Error{ErrorCode::kCorrupt, "too short"};
  if (Hash64(stored.subspan(kSegmentChecksumBytes), archive_offset) != LoadLe<uint64_t>(stored.data())) {
    return Error{ErrorCode::kCorrupt, "checksum mismatch"};
  }
  return OkStatus();
}

}  // namespace

struct ArchiveReader::Impl {
  std::unique_ptr<RandomAccessFile> file;
  std::string name;
  Footer footer;
  Index index;
  std::unique_ptr<TableCache> tables;
  PageDirectory pages;

  Status Load();
  Result<const IndexPage*> Page(const Extent& extent, size_t number);
  Status Decode(const Extent& extent, ByteSpan stored, codec::Scratch& scratch, MutableByteSpan plain);
  Error InSegment(Error error, const Extent& extent, uint64_t segment, uint64_t archive_offset) const;
};

Status ArchiveReader::Impl::Load() {
  const uint64_t file_bytes = file->size();
  if (file_bytes < kHeaderBytes + kFooterBytes) {
    return Error{ErrorCode::kCorrupt, "not an entrofs archive: only " + std::to_string(file_bytes) + " bytes"};
  }
  std::array<uint8_t, kHeaderBytes> header;
  ENTROFS_RETURN_IF_ERROR(file->ReadAt(0, header));
  ENTROFS_RETURN_IF_ERROR(DecodeHeader(header));
  std::array<uint8_t, kFooterBytes> footer_bytes;
  ENTROFS_RETURN_IF_ERROR(file->ReadAt(file_bytes - kFooterBytes, footer_bytes));
  ENTROFS_ASSIGN_OR_RETURN(footer, DecodeFooter(footer_bytes, file_bytes));
  ENTROFS_ASSIGN_OR_RETURN(std::vector<uint8_t> plain, ReadBlock(*file, footer.index, "index"));
  ENTROFS_ASSIGN_OR_RETURN(index, DecodeIndex(plain, footer.report.archive_offset, footer.features));
  tables = std::make_unique<TableCache>(index.tables);
  pages.Prepare(index);
  return OkStatus();
}

Result<const IndexPage*> ArchiveReader::Impl::Page(const Extent& extent, size_t number) {
  if (const IndexPage* page = pages.Find(extent, number)) return page;
  uint64_t first_segment = uint64_t{number} * kSegmentsPerIndexPage;
  size_t count = std::min<uint64_t>(kSegmentsPerIndexPage, extent.segment_count() - first_segment);
  std::vector<uint8_t> bytes(IndexPageBytes(count));
  uint64_t page_archive_offset = extent.index_archive_offset + number * IndexPageBytes(kSegmentsPerIndexPage);
  ENTROFS_RETURN_IF_ERROR(file->ReadAt(page_archive_offset, bytes));
  ENTROFS_ASSIGN_OR_RETURN(IndexPage page, DecodeIndexPage(bytes, extent, number));
  return pages.Add(extent, number, std::make_unique<const IndexPage>(std::move(page)));
}

Status ArchiveReader::Impl::Decode(const Extent& extent, ByteSpan stored, codec::Scratch& scratch,
                                   MutableByteSpan plain) {
  if (stored.size() < kMinStoredSegmentBytes) return Error{ErrorCode::kCorrupt, "too short"};
  std::array<codec::PlaneDecoder, codec::kMaxPlanes> planes;
  for (size_t p = 0; p < extent.planes.size(); ++p) {
    planes[p].kind = extent.planes[p].kind;
    ENTROFS_ASSIGN_OR_RETURN(planes[p].table, tables->Get(extent.planes[p].table));
  }
  return codec::DecodeSegment(extent.layout, std::span(planes).first(extent.planes.size()),
                              stored.subspan(kSegmentChecksumBytes), scratch, plain);
}

Error ArchiveReader::Impl::InSegment(Error error, const Extent& extent, uint64_t segment,
                                     uint64_t archive_offset) const {
  std::string place = name + ": " + Printable(extent.name) + " segment " + std::to_string(segment) +
                      " at archive offset " + std::to_string(archive_offset);
  return std::move(error).WithContext(place);
}

ArchiveReader::ArchiveReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ArchiveReader::~ArchiveReader() = default;

Result<std::unique_ptr<ArchiveReader>> ArchiveReader::Open(std::unique_ptr<RandomAccessFile> file, std::string name) {
  auto impl = std::make_unique<Impl>();
  impl->file = std::move(file);
  impl->name = std::move(name);
  if (Status status = impl->Load(); !status) return std::move(status.error()).WithContext(impl->name);
  return std::unique_ptr<ArchiveReader>(new ArchiveReader(std::move(impl)));
}

const Index& ArchiveReader::index() const { return impl_->index; }
uint64_t ArchiveReader::archive_bytes() const { return impl_->footer.archive_bytes; }
const RandomAccessFile& ArchiveReader::file() const { return *impl_->file; }
size_t ArchiveReader::SegmentBytes(const Extent& extent, uint64_t segment) {
  return SegmentPlainBytes(extent, segment);
}

Result<std::string> ArchiveReader::ReadReport() const {
  auto plain = ReadBlock(*impl_->file, impl_->footer.report, "report");
  if (!plain) return std::move(plain.error()).WithContext(impl_->name);
  return std::string(AsText(*plain));
}

Result<ArchiveReader::StoredRange> ArchiveReader::FindSegment(const Extent& extent, uint64_t segment) const {
  assert(segment < extent.segment_count());
  auto page = impl_->Page(extent, segment / kSegmentsPerIndexPage);
  if (!page) return impl_->InSegment(std::move(page.error()), extent, segment, extent.index_archive_offset);
  size_t i = segment % kSegmentsPerIndexPage;
  uint32_t begin = i == 0 ? 0 : (*page)->ends[i - 1];
  return StoredRange{(*page)->base_archive_offset + begin, (*page)->ends[i] - begin};
}

Status ArchiveReader::DecodeStored(const Extent& extent, uint64_t segment, uint64_t archive_offset, ByteSpan stored,
                                   codec::Scratch& scratch, MutableByteSpan plain) const {
  assert(plain.size() == SegmentPlainBytes(extent, segment));
  Status status = CheckSegment(stored, archive_offset);
  if (status) status = impl_->Decode(extent, stored, scratch, plain);
  if (!status) return impl_->InSegment(std::move(status.error()), extent, segment, archive_offset);
  return OkStatus();
}

Status ArchiveReader::ReadSegment(const Extent& extent, uint64_t segment, ReadScratch& scratch,
                                  MutableByteSpan plain) const {
  ENTROFS_ASSIGN_OR_RETURN(StoredRange range, FindSegment(extent, segment));
  // (The last segments of an archive may lack the bytes behind them that decoders may look at.)
  ByteSpan view = impl_->file->View(range.archive_offset, range.stored_bytes + codec::kReadSlackBytes);
  if (!view.empty()) {
    view = view.first(range.stored_bytes);
    // Checked last, so that bytes that change meanwhile are found, too. The decoder bears any.
    Status decoded = impl_->Decode(extent, view, scratch.codec, plain);
    Status status = CheckSegment(view, range.archive_offset);
    if (status) status = std::move(decoded);
    if (impl_->file->ViewsHold()) {
      if (status) return OkStatus();
      return impl_->InSegment(std::move(status.error()), extent, segment, range.archive_offset);
    }
  }
  scratch.stored.Reserve(range.stored_bytes + codec::kReadSlackBytes);
  MutableByteSpan stored = scratch.stored.span().first(range.stored_bytes);
  if (Status status = impl_->file->ReadAt(range.archive_offset, stored); !status) {
    return impl_->InSegment(std::move(status.error()), extent, segment, range.archive_offset);
  }
  return DecodeStored(extent, segment, range.archive_offset, stored, scratch.codec, plain);
}

Status ArchiveReader::ReadRange(const Extent& extent, uint64_t offset, ReadScratch& scratch,
                                MutableByteSpan out) const {
  if (offset > extent.plain_bytes || out.size() > extent.plain_bytes - offset) {
    return Error{ErrorCode::kInvalidArgument, impl_->name + ": " + Printable(extent.name) + ": read past the end"};
  }
  Buffer plain;
  while (!out.empty()) {
    uint64_t segment = offset / extent.segment_bytes;
    size_t skip = offset % extent.segment_bytes;
    size_t segment_bytes = SegmentPlainBytes(extent, segment);
    size_t take = std::min(segment_bytes - skip, out.size());
    if (take == segment_bytes) {
      ENTROFS_RETURN_IF_ERROR(ReadSegment(extent, segment, scratch, out.first(take)));
    } else {
      plain.Reserve(segment_bytes);
      ENTROFS_RETURN_IF_ERROR(ReadSegment(extent, segment, scratch, plain.span()));
      std::memcpy(out.data(), plain.data() + skip, take);
    }
    out = out.subspan(take);
    offset += take;
  }
  return OkStatus();
}

}  // namespace entrofs::archive
