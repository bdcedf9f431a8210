#include "archive/archive_writer.h"

#include <algorithm>
#include <map>

#include "archive/index_fields.h"
#include "archive/paths.h"
#include "archive/segment_pipeline.h"
#include "archive/view_builder.h"

namespace entrofs::archive {
namespace {

Error Misuse(const std::string& what) { return Error{ErrorCode::kInvalidArgument, what}; }

// Collects the ends of an extent's segments into index pages.
class PageBuilder {
 public:
  void AddSegment(uint64_t archive_offset, size_t stored_bytes) {
    if (pages_.empty() || pages_.back().ends.size() == kSegmentsPerIndexPage) {
      pages_.push_back(IndexPage{archive_offset, {}});
    }
    IndexPage& page = pages_.back();
    uint32_t begin = page.ends.empty() ? 0 : page.ends.back();
    page.ends.push_back(begin + static_cast<uint32_t>(stored_bytes));
  }
  const std::vector<IndexPage>& pages() const { return pages_; }

 private:
  std::vector<IndexPage> pages_;
};

}  // namespace

struct ArchiveWriter::Impl {
  Impl(std::unique_ptr<NewFile> f, ThreadPool& pool) : file(std::move(f)), pipeline(pool) {}

  enum class State { kNew, kBetweenFiles, kInFile, kInView, kInViewFile, kEnded };

  std::unique_ptr<NewFile> file;
  SegmentPipeline pipeline;
  State state = State::kNew;
  Index index;
  PathSet paths;
  std::map<std::pair<codec::CodecKind, std::vector<uint8_t>>, uint32_t> table_numbers;
  VirtualFile current;
  StreamHash128 current_hash;
  ViewBuilder views;
  ViewFile current_view_file;

  Status Expect(State wanted) const;
  Status CheckOptions(const ExtentOptions& options) const;
  Result<Extent> Append(const ExtentOptions& options, const Source& source);
  Status HashSource(const Extent& extent, const Source& source);
  Status AppendSegments(Extent& extent, const ExtentOptions& options, const Source& source);
  Status AppendPages(Extent& extent, const std::vector<IndexPage>& pages);
  Result<Block> AppendBlock(ByteSpan plain);
  Status AppendEnd(const std::string& report_json);
  // After an error nothing may be appended.
  Status Ended(Status status) {
    if (!status) state = State::kEnded;
    return status;
  }
};

Status ArchiveWriter::Impl::Expect(State wanted) const {
  if (state == wanted) return OkStatus();
  return Misuse(state == State::kEnded ? "archive writer: used after its end or an error"
                                       : "archive writer: call out of order");
}

Status ArchiveWriter::Impl::CheckOptions(const ExtentOptions& options) const {
  if (options.segment_bytes < codec::kMinSegmentBytes || options.segment_bytes > codec::kMaxSegmentBytes ||
      options.segment_bytes % codec::kSegmentGranularityBytes != 0) {
    return Misuse(options.name + ": segment size of " + std::to_string(options.segment_bytes) + " bytes");
  }
  ENTROFS_RETURN_IF_ERROR(codec::ValidateLayout(options.layout));
  const size_t plane_count = options.layout.plane_count();
  if (options.planes.size() != plane_count || options.tables.size() != plane_count) {
    return Misuse(options.name + ": planes or tables do not fit the layout");
  }
  for (size_t p = 0; p < plane_count; ++p) {
    const codec::CodecKind kind = options.planes[p].kind;
    const bool has_table = kind == codec::CodecKind::kTans || kind == codec::CodecKind::kHuffman;
    const uint32_t table = options.tables[p];
    bool fits = has_table ? options.planes[p].table != nullptr && table < index.tables.size() &&
                                index.tables[table].kind == kind
                          : table == kNoTable;
    if (!fits) return Misuse(options.name + ": plane " + std::to_string(p) + " with a table that does not fit");
  }
  return OkStatus();
}

Status ArchiveWriter::Impl::AppendSegments(Extent& extent, const ExtentOptions& options, const Source& source) {
  PageBuilder builder;
  auto encode = [&](ByteSpan plain, codec::Scratch& scratch, std::vector<uint8_t>& stored) {
    stored.resize(kSegmentChecksumBytes);
    codec::EncodeSegment(options.layout, options.planes, plain, scratch, stored);
  };
  auto sink = [&](ByteSpan plain, MutableByteSpan stored) -> Status {
    current_hash.Update(plain);
    if (stored.size() > plain.size() + kMaxSegmentOverheadBytes) {
      return Error{ErrorCode::kUnsupported, extent.name + ": segment grows too much"};
    }
    const uint64_t archive_offset = file->size();
    StoreLe<uint64_t>(stored.data(), Hash64(stored.subspan(kSegmentChecksumBytes), archive_offset));
    builder.AddSegment(archive_offset, stored.size());
    return file->Append(stored);
  };
  ENTROFS_RETURN_IF_ERROR(pipeline.Run(extent, source, encode, sink));
  return AppendPages(extent, builder.pages());
}

Status ArchiveWriter::Impl::AppendPages(Extent& extent, const std::vector<IndexPage>& pages) {
  extent.index_archive_offset = file->size();
  for (const IndexPage& page : pages) {
    ENTROFS_RETURN_IF_ERROR(file->Append(EncodeIndexPage(page, file->size())));
  }
  extent.stored_bytes = file->size() - pages.front().base_archive_offset;
  return OkStatus();
}

Result<Block> ArchiveWriter::Impl::AppendBlock(ByteSpan plain) {
  if (plain.size() > kMaxBlockBytes) return Error{ErrorCode::kUnsupported, "archive: index or report over 1 GiB"};
  std::vector<uint8_t> stored = CompressBlock(plain);
  Block block{file->size(), stored.size(), plain.size(), Hash64(stored, file->size())};
  ENTROFS_RETURN_IF_ERROR(file->Append(stored));
  return block;
}

Status ArchiveWriter::Impl::AppendEnd(const std::string& report_json) {
  std::sort(index.files.begin(), index.files.end(),
            [](const VirtualFile& a, const VirtualFile& b) { return a.path < b.path; });
  index.directories = paths.EmptyDirectories();
  if (!index.has_views() && !views.empty()) return Misuse("archive writer: views without NameTree");
  views.Finish(index);
  if (index.has_views()) {
    if (Status status = CheckViews(index); !status) return Misuse(status.error().message);
  }
  Footer footer;
  ENTROFS_ASSIGN_OR_RETURN(footer.report, AppendBlock(AsBytes(report_json)));
  ENTROFS_ASSIGN_OR_RETURN(footer.index, AppendBlock(EncodeIndex(index)));
  footer.archive_bytes = file->size() + kFooterBytes;
  footer.features = FeaturesOf(index);
  ENTROFS_RETURN_IF_ERROR(file->Append(EncodeFooter(footer)));
  return file->Flush();
}

ArchiveWriter::ArchiveWriter(std::unique_ptr<NewFile> file, ThreadPool& pool)
    : impl_(std::make_unique<Impl>(std::move(file), pool)) {}
ArchiveWriter::~ArchiveWriter() = default;

Status ArchiveWriter::Start() {
  ENTROFS_RETURN_IF_ERROR(impl_->Expect(Impl::State::kNew));
  impl_->state = Impl::State::kBetweenFiles;
  return impl_->Ended(impl_->file->Append(EncodeHeader()));
}

uint32_t ArchiveWriter::AddTable(codec::CodecKind kind, ByteSpan serialized) {
  std::vector<Table>& tables = impl_->index.tables;
  std::pair key(kind, std::vector<uint8_t>(serialized.begin(), serialized.end()));
  auto [known, is_new] = impl_->table_numbers.try_emplace(std::move(key), static_cast<uint32_t>(tables.size()));
  if (is_new) tables.push_back(Table{kind, known->first.second});
  return known->second;
}

Status ArchiveWriter::BeginFile(const std::string& path, uint32_t mode, int64_t mtime_ns) {
  impl_->current_hash = StreamHash128();
  if (impl_->state == Impl::State::kInView) {
    ENTROFS_RETURN_IF_ERROR(impl_->Ended(impl_->views.AddPath(path)));
    impl_->state = Impl::State::kInViewFile;
    impl_->current_view_file = ViewFile{.path = path, .mode = mode & 0555, .mtime_ns = mtime_ns, .extents = {}};
    return OkStatus();
  }
  ENTROFS_RETURN_IF_ERROR(impl_->Expect(Impl::State::kBetweenFiles));
  ENTROFS_RETURN_IF_ERROR(impl_->Ended(impl_->paths.AddFile(path)));
  impl_->state = Impl::State::kInFile;
  impl_->current = VirtualFile{.path = path, .mode = mode & 0555, .mtime_ns = mtime_ns, .extents = {}};
  return OkStatus();
}

Result<Extent> ArchiveWriter::Impl::Append(const ExtentOptions& options, const Source& source) {
  ENTROFS_RETURN_IF_ERROR(Ended(CheckOptions(options)));
  Extent extent{.name = options.name,
                .plain_bytes = options.plain_bytes,
                .segment_bytes = options.segment_bytes,
                .layout = options.layout,
                .planes = {}};
  for (size_t p = 0; p < options.planes.size(); ++p) {
    extent.planes.push_back(PlaneInfo{options.planes[p].kind, options.tables[p]});
  }
  if (extent.plain_bytes > 0) {
    ENTROFS_RETURN_IF_ERROR(Ended(AppendSegments(extent, options, source)));
    views.NoteStored(extent);
  }
  return extent;
}

// Reads all of an extent for the hash of a file.
Status ArchiveWriter::Impl::HashSource(const Extent& extent, const Source& source) {
  auto sink = [&](ByteSpan plain, MutableByteSpan) -> Status {
    current_hash.Update(plain);
    return OkStatus();
  };
  if (extent.plain_bytes == 0) return OkStatus();
  return Ended(pipeline.Run(extent, source, nullptr, sink));
}

Result<Extent> ArchiveWriter::AddExtent(const ExtentOptions& options, const Source& source) {
  ENTROFS_RETURN_IF_ERROR(impl_->Expect(Impl::State::kInFile));
  ENTROFS_ASSIGN_OR_RETURN(Extent extent, impl_->Append(options, source));
  impl_->current.size_bytes += extent.plain_bytes;
  impl_->current.extents.push_back(extent);
  return extent;
}

Status ArchiveWriter::AddSharedExtent(const Extent& written, const std::string& name, const Source& source) {
  ENTROFS_RETURN_IF_ERROR(impl_->Expect(Impl::State::kInFile));
  ENTROFS_RETURN_IF_ERROR(impl_->HashSource(written, source));
  impl_->current.size_bytes += written.plain_bytes;
  impl_->current.extents.push_back(written);
  impl_->current.extents.back().name = name;
  return OkStatus();
}

Status ArchiveWriter::EndFile() {
  if (impl_->state == Impl::State::kInViewFile) {
    impl_->current_view_file.hash = impl_->current_hash.Digest();
    impl_->state = Impl::State::kInView;
    return impl_->Ended(impl_->views.AddFile(std::move(impl_->current_view_file)));
  }
  ENTROFS_RETURN_IF_ERROR(impl_->Expect(Impl::State::kInFile));
  impl_->current.hash = impl_->current_hash.Digest();
  impl_->index.files.push_back(std::move(impl_->current));
  impl_->state = Impl::State::kBetweenFiles;
  return OkStatus();
}

Status ArchiveWriter::AddDirectory(const std::string& path) {
  if (impl_->state == Impl::State::kInView) return impl_->Ended(impl_->views.AddDirectory(path));
  ENTROFS_RETURN_IF_ERROR(impl_->Expect(Impl::State::kBetweenFiles));
  return impl_->Ended(impl_->paths.AddDirectory(path));
}

Result<Extent> ArchiveWriter::AddPoolExtent(const ExtentOptions& options, const Source& source) {
  ENTROFS_RETURN_IF_ERROR(impl_->Expect(Impl::State::kBetweenFiles));
  if (options.plain_bytes == 0) return Misuse(options.name + ": an extent of the pool must have bytes");
  ENTROFS_ASSIGN_OR_RETURN(Extent extent, impl_->Append(options, source));
  impl_->index.pool.push_back(extent);
  return extent;
}

Result<uint32_t> ArchiveWriter::HandleOf(const Extent& written) const { return impl_->views.HandleOf(written); }

Result<uint32_t> ArchiveWriter::AddDerived(const DerivedExtent& derived) { return impl_->views.AddDerived(derived); }

Status ArchiveWriter::NameTree(const std::string& tree_name, const std::string& default_view) {
  if ((!tree_name.empty() && !IsViewName(tree_name)) || !IsViewName(default_view)) {
    return Misuse("archive writer: not the name of a view: '" + tree_name + "' or '" + default_view + "'");
  }
  impl_->index.tree_name = tree_name;
  impl_->index.default_view = default_view;
  return OkStatus();
}

Status ArchiveWriter::BeginView(const std::string& name) {
  ENTROFS_RETURN_IF_ERROR(impl_->Expect(Impl::State::kBetweenFiles));
  ENTROFS_RETURN_IF_ERROR(impl_->Ended(impl_->views.Begin(name)));
  impl_->state = Impl::State::kInView;
  return OkStatus();
}

Status ArchiveWriter::AddPart(uint32_t handle, const Source& source) {
  ENTROFS_RETURN_IF_ERROR(impl_->Expect(Impl::State::kInViewFile));
  ENTROFS_ASSIGN_OR_RETURN(uint64_t plain_bytes, impl_->views.SizeOf(handle));
  Extent extent{.name = "part",
                .plain_bytes = plain_bytes,
                .segment_bytes = codec::kDefaultSegmentBytes,
                .layout = {},
                .planes = {}};
  ENTROFS_RETURN_IF_ERROR(impl_->HashSource(extent, source));
  impl_->current_view_file.extents.push_back(handle);
  return OkStatus();
}

Status ArchiveWriter::AddViewFile(const ViewFile& file) {
  ENTROFS_RETURN_IF_ERROR(impl_->Expect(Impl::State::kInView));
  ENTROFS_RETURN_IF_ERROR(impl_->Ended(impl_->views.AddPath(file.path)));
  ViewFile added = file;
  added.mode &= 0555;
  return impl_->Ended(impl_->views.AddFile(std::move(added)));
}

Status ArchiveWriter::EndView() {
  ENTROFS_RETURN_IF_ERROR(impl_->Expect(Impl::State::kInView));
  impl_->views.End();
  impl_->state = Impl::State::kBetweenFiles;
  return OkStatus();
}

Result<uint64_t> ArchiveWriter::Finish(const std::string& report_json, const Verify& verify) {
  ENTROFS_RETURN_IF_ERROR(impl_->Expect(Impl::State::kBetweenFiles));
  impl_->state = Impl::State::kEnded;
  ENTROFS_RETURN_IF_ERROR(impl_->AppendEnd(report_json));
  if (verify) ENTROFS_RETURN_IF_ERROR(verify(impl_->file->temporary_path()));
  ENTROFS_RETURN_IF_ERROR(impl_->file->Commit());
  return impl_->file->size();
}

}  // namespace entrofs::archive
