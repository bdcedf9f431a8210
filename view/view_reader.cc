#include "view/view_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "archive/paths.h"
#include "view/derived.h"

namespace entrofs::view {
namespace {

using archive::ArchiveReader;
using archive::DerivedExtent;
using archive::Extent;
using archive::Index;

// How a derived extent is cut: where it can be, as its codes are.
uint32_t SegmentBytesOf(const DerivedExtent& derived, const std::vector<const Extent*>& stored) {
  const std::vector<InputRange> inputs = InputsOf(derived, 0, 1);
  if (inputs.empty()) return codec::kMinSegmentBytes;  // literals are short
  const uint64_t bytes = OutputBytesFor(derived, stored[inputs[0].extent]->segment_bytes);
  if (bytes == 0) return ViewReader::kUsualSegmentBytes;
  const uint64_t parts = (bytes - 1) / ViewReader::kMaxSegmentBytes + 1;
  return static_cast<uint32_t>((bytes - 1) / parts + 1);
}

std::string Joined(const std::vector<std::string>& names) {
  std::string joined;
  for (const std::string& name : names) joined += (joined.empty() ? "" : ", ") + name;
  return joined;
}

// Calls use(segment, first byte in the segment, count) for the segments of [offset, offset + length).
template <typename Use>
Status ForSegments(const Extent& extent, uint64_t offset, size_t length, const Use& use) {
  while (length > 0) {
    const uint64_t segment = offset / extent.segment_bytes;
    const size_t skip = offset % extent.segment_bytes;
    const size_t take = std::min(ArchiveReader::SegmentBytes(extent, segment) - skip, length);
    ENTROFS_RETURN_IF_ERROR(use(segment, skip, take));
    offset += take;
    length -= take;
  }
  return OkStatus();
}

}  // namespace

std::vector<std::string> ViewNames(const Index& index) {
  std::vector<std::string> names;
  if (!index.has_views()) return names;
  names.push_back(index.default_view);
  if (!index.tree_name.empty() && index.tree_name != index.default_view) names.push_back(index.tree_name);
  for (const archive::View& view : index.views) {
    if (view.name != index.default_view) names.push_back(view.name);
  }
  return names;
}

ViewReader::ViewReader(const ArchiveReader& reader, size_t cache_bytes)
    : reader_(reader), stored_(archive::StoredExtents(reader.index())), cache_(cache_bytes) {}

Result<std::unique_ptr<ViewReader>> ViewReader::Open(const ArchiveReader& reader, std::string_view name,
                                                     size_t cache_bytes) {
  const Index& index = reader.index();
  std::unique_ptr<ViewReader> view(new ViewReader(reader, cache_bytes));
  view->name_ = name.empty() ? index.default_view : std::string(name);
  if (view->name_ == index.tree_name) {  // both are empty without views
    view->LoadTree();
    return view;
  }
  for (const archive::View& known : index.views) {
    if (known.name != view->name_) continue;
    view->LoadView(known);
    return view;
  }
  const std::string which =
      index.has_views() ? "it has " + Joined(ViewNames(index)) : "it has one only, without a name";
  return Error{ErrorCode::kInvalidArgument, "the archive has no view '" + archive::Printable(name) + "': " + which};
}

uint64_t ViewReader::size_bytes() const {
  uint64_t total = 0;
  for (const File& file : files_) total += file.size_bytes;
  return total;
}

void ViewReader::LoadTree() {
  directories_ = &reader_.index().directories;
  files_.reserve(reader_.index().files.size());
  for (const archive::VirtualFile& file : reader_.index().files) {
    File& loaded = files_.emplace_back(File{file.path, file.mode, file.mtime_ns, file.size_bytes, file.hash, {}});
    uint64_t offset = 0;
    for (const Extent& extent : file.extents) {
      if (extent.plain_bytes == 0) continue;
      auto place =
          std::lower_bound(stored_.begin(), stored_.end(), extent.index_archive_offset,
                           [](const Extent* stored, uint64_t wanted) { return stored->index_archive_offset < wanted; });
      loaded.extents.push_back({.stored = &extent,
                                .number = static_cast<uint32_t>(place - stored_.begin()),
                                .segment_bytes = extent.segment_bytes,
                                .plain_bytes = extent.plain_bytes,
                                .file_offset_bytes = offset});
      offset += extent.plain_bytes;
    }
  }
}

void ViewReader::LoadView(const archive::View& view) {
  directories_ = &view.directories;
  files_.reserve(view.files.size());
  for (const archive::ViewFile& file : view.files) {
    File& loaded = files_.emplace_back(File{file.path, file.mode, file.mtime_ns, file.size_bytes, file.hash, {}});
    uint64_t offset = 0;
    for (uint32_t number : file.extents) {
      ViewExtent& extent = loaded.extents.emplace_back(ExtentOf(number));
      extent.file_offset_bytes = offset;
      offset += extent.plain_bytes;
    }
  }
}

ViewExtent ViewReader::ExtentOf(uint32_t number) const {
  if (number < stored_.size()) {
    const Extent& stored = *stored_[number];
    return {
        .stored = &stored, .number = number, .segment_bytes = stored.segment_bytes, .plain_bytes = stored.plain_bytes};
  }
  const DerivedExtent& derived = reader_.index().derived[number - stored_.size()];
  return {.derived = &derived,
          .number = number,
          .segment_bytes = SegmentBytesOf(derived, stored_),
          .plain_bytes = derived.plain_bytes};
}

Status ViewReader::ReadSegment(const ViewExtent& extent, uint64_t segment, Scratch& scratch,
                               MutableByteSpan plain) const {
  if (extent.stored != nullptr) return reader_.ReadSegment(*extent.stored, segment, scratch.read, plain);
  return ReadPart(extent, segment * extent.segment_bytes, scratch, plain);
}

Status ViewReader::ReadRange(const File& file, uint64_t offset_bytes, Scratch& scratch, MutableByteSpan out) const {
  if (offset_bytes > file.size_bytes || out.size() > file.size_bytes - offset_bytes) {
    return Error{ErrorCode::kInvalidArgument, archive::Printable(file.path) + ": read past the end"};
  }
  auto extent = std::upper_bound(file.extents.begin(), file.extents.end(), offset_bytes,
                                 [](uint64_t at, const ViewExtent& e) { return at < e.file_offset_bytes; });
  if (extent != file.extents.begin()) --extent;
  while (!out.empty()) {
    const uint64_t within = offset_bytes - extent->file_offset_bytes, segment = within / extent->segment_bytes;
    const size_t skip = within % extent->segment_bytes;
    const size_t take = std::min(extent->SegmentBytes(segment) - skip, out.size());
    const MutableByteSpan part = out.first(take);
    Status status = take == extent->SegmentBytes(segment) ? ReadSegment(*extent, segment, scratch, part)
                                                          : ReadPart(*extent, within, scratch, part);
    if (!status) return std::move(status.error()).WithContext(archive::Printable(file.path));
    out = out.subspan(take);
    offset_bytes += take;
    if (within + take == extent->plain_bytes) ++extent;
  }
  return OkStatus();
}

// Bytes of an extent, all of one segment.
Status ViewReader::ReadPart(const ViewExtent& extent, uint64_t offset_bytes, Scratch& scratch,
                            MutableByteSpan out) const {
  if (extent.stored != nullptr) return reader_.ReadRange(*extent.stored, offset_bytes, scratch.read, out);
  while (!out.empty()) {
    const size_t piece_bytes = PieceBytes(*extent.derived, offset_bytes, out.size());
    ENTROFS_RETURN_IF_ERROR(ReadDerived(*extent.derived, offset_bytes, scratch, out.first(piece_bytes)));
    offset_bytes += piece_bytes;
    out = out.subspan(piece_bytes);
  }
  return OkStatus();
}

Status ViewReader::ReadDerived(const DerivedExtent& derived, uint64_t offset_bytes, Scratch& scratch,
                               MutableByteSpan out) const {
  const std::vector<InputRange> ranges = InputsOf(derived, offset_bytes, out.size());
  std::array<ByteSpan, 4> inputs;
  std::array<InputCache::Segment, 4> held;
  for (size_t i = 0; i < ranges.size(); ++i) {
    const InputRange& range = ranges[i];
    if (i == 0) {
      ENTROFS_ASSIGN_OR_RETURN(inputs[i], ReadCodes(range.extent, range.offset_bytes, range.length_bytes, scratch));
      continue;
    }
    const uint32_t segment_bytes = stored_[range.extent]->segment_bytes;
    const uint64_t first = range.offset_bytes / segment_bytes;
    if ((range.offset_bytes + range.length_bytes - 1) / segment_bytes == first) {
      ENTROFS_ASSIGN_OR_RETURN(held[i], ParameterSegment(range.extent, first, scratch));
      inputs[i] = held[i]->span().subspan(range.offset_bytes % segment_bytes, range.length_bytes);
      continue;
    }
    scratch.inputs[i].Reserve(range.length_bytes);
    ENTROFS_RETURN_IF_ERROR(ReadParameters(range.extent, range.offset_bytes, scratch, scratch.inputs[i].span()));
    inputs[i] = scratch.inputs[i].span();
  }
  Derive(derived, offset_bytes, std::span(inputs).first(ranges.size()), out);
  return OkStatus();
}

// Decoded into scratch.inputs[0]. Codes are read once, so the cache is not for them.
Result<ByteSpan> ViewReader::ReadCodes(uint32_t number, uint64_t offset, size_t length, Scratch& scratch) const {
  const Extent& extent = *stored_[number];
  const uint64_t first = offset / extent.segment_bytes;
  if ((offset + length - 1) / extent.segment_bytes == first) {
    scratch.inputs[0].Reserve(ArchiveReader::SegmentBytes(extent, first));
    ENTROFS_RETURN_IF_ERROR(reader_.ReadSegment(extent, first, scratch.read, scratch.inputs[0].span()));
    return ByteSpan(scratch.inputs[0].span()).subspan(offset % extent.segment_bytes, length);
  }
  scratch.inputs[0].Reserve(length);
  MutableByteSpan rest = scratch.inputs[0].span();
  const auto read = [&](uint64_t segment, size_t skip, size_t take) -> Status {
    const size_t segment_bytes = ArchiveReader::SegmentBytes(extent, segment);
    const MutableByteSpan target = rest.first(take);
    rest = rest.subspan(take);
    if (take == segment_bytes) return reader_.ReadSegment(extent, segment, scratch.read, target);
    scratch.segment.Reserve(segment_bytes);
    ENTROFS_RETURN_IF_ERROR(reader_.ReadSegment(extent, segment, scratch.read, scratch.segment.span()));
    std::memcpy(target.data(), scratch.segment.data() + skip, take);
    return OkStatus();
  };
  ENTROFS_RETURN_IF_ERROR(ForSegments(extent, offset, length, read));
  return ByteSpan(scratch.inputs[0].span());
}

Status ViewReader::ReadParameters(uint32_t number, uint64_t offset, Scratch& scratch, MutableByteSpan out) const {
  uint8_t* target = out.data();
  return ForSegments(*stored_[number], offset, out.size(), [&](uint64_t segment, size_t skip, size_t take) -> Status {
    ENTROFS_ASSIGN_OR_RETURN(InputCache::Segment held, ParameterSegment(number, segment, scratch));
    std::memcpy(target, held->data() + skip, take);
    target += take;
    return OkStatus();
  });
}

Result<InputCache::Segment> ViewReader::ParameterSegment(uint32_t number, uint64_t segment, Scratch& scratch) const {
  if (InputCache::Segment held = cache_.Find({number, segment})) return held;
  const Extent& extent = *stored_[number];
  auto decoded = std::make_shared<Buffer>(ArchiveReader::SegmentBytes(extent, segment));
  ENTROFS_RETURN_IF_ERROR(reader_.ReadSegment(extent, segment, scratch.read, decoded->span()));
  InputCache::Segment held = std::move(decoded);
  cache_.Put({number, segment}, held);
  return held;
}

void ViewReader::VisitStored(const ViewExtent& extent, uint64_t segment, const UseStored& use) const {
  if (extent.stored != nullptr) return use(*extent.stored, segment);
  uint64_t offset = segment * extent.segment_bytes, length = extent.SegmentBytes(segment);
  while (length > 0) {
    const uint64_t piece_bytes = PieceBytes(*extent.derived, offset, length);
    for (const InputRange& range : InputsOf(*extent.derived, offset, piece_bytes)) {
      const Extent& input = *stored_[range.extent];
      const uint64_t last = (range.offset_bytes + range.length_bytes - 1) / input.segment_bytes;
      for (uint64_t s = range.offset_bytes / input.segment_bytes; s <= last; ++s) use(input, s);
    }
    offset += piece_bytes;
    length -= piece_bytes;
  }
}

}  // namespace entrofs::view
