// The index's derived extents and views. See docs/archive-format.md, "Views".

#include <algorithm>

#include "archive/index_fields.h"
#include "archive/paths.h"

namespace entrofs::archive {
namespace {

constexpr size_t kDerivedFixedBytes = 4 + 1 + 8 + 1;
constexpr size_t kViewFixedBytes = 4 + 4 + 4;

Error Corrupt(const std::string& what) { return CorruptIndex(what); }

void WriteMatrix(ByteWriter& writer, const CodeMatrix& matrix) {
  for (uint32_t number : {matrix.codes, matrix.scales, matrix.zeros, matrix.column_scales}) writer.WriteU32(number);
  writer.WriteU8(static_cast<uint8_t>(matrix.code_form));
  writer.WriteU8(static_cast<uint8_t>(matrix.zero_form));
  writer.WriteU16(static_cast<uint16_t>(matrix.zero));
  writer.WriteU8(static_cast<uint8_t>(matrix.scale_type));
  for (uint64_t number :
       {matrix.rows, matrix.columns, matrix.row_bytes, matrix.rows_per_scale, matrix.columns_per_scale}) {
    writer.WriteU64(number);
  }
}

Status ReadMatrix(ByteReader& reader, CodeMatrix& matrix) {
  for (uint32_t* number : {&matrix.codes, &matrix.scales, &matrix.zeros, &matrix.column_scales}) {
    *number = reader.ReadU32();
  }
  const uint8_t code_form = reader.ReadU8();
  const uint8_t zero_form = reader.ReadU8();
  matrix.zero = static_cast<int16_t>(reader.ReadU16());
  const uint8_t scale_type = reader.ReadU8();
  for (uint64_t* number :
       {&matrix.rows, &matrix.columns, &matrix.row_bytes, &matrix.rows_per_scale, &matrix.columns_per_scale}) {
    *number = reader.ReadU64();
  }
  if (code_form > static_cast<uint8_t>(CodeForm::kU4) || zero_form > static_cast<uint8_t>(ZeroForm::kU4DownRows) ||
      scale_type > static_cast<uint8_t>(FloatType::kF32)) {
    return Corrupt("derived extent of unknown codes, zero points or scales");
  }
  matrix.code_form = static_cast<CodeForm>(code_form);
  matrix.zero_form = static_cast<ZeroForm>(zero_form);
  matrix.scale_type = static_cast<FloatType>(scale_type);
  return OkStatus();
}

void WriteDerived(ByteWriter& writer, const DerivedExtent& derived) {
  WriteText(writer, derived.name);
  writer.WriteU8(static_cast<uint8_t>(derived.function));
  writer.WriteU64(derived.plain_bytes);
  switch (derived.function) {
    case Function::kCopy:
      writer.WriteU32(derived.input);
      writer.WriteU64(derived.offset_bytes);
      break;
    case Function::kLiteral:
      writer.WriteBytes(derived.literal);
      break;
    case Function::kDequantize:
      writer.WriteU8(static_cast<uint8_t>(derived.output));
      WriteMatrix(writer, derived.matrix);
      break;
    case Function::kFlip:
      writer.WriteU32(derived.input);
      writer.WriteU8(derived.mask);
      break;
    case Function::kInterleave:
      writer.WriteU8(static_cast<uint8_t>(derived.block_type));
      WriteMatrix(writer, derived.matrix);
      break;
  }
}

Status ReadLiteral(ByteReader& reader, DerivedExtent& derived) {
  if (derived.plain_bytes > kMaxLiteralBytes) return Corrupt("literal too long");
  ByteSpan bytes = reader.ReadBytes(derived.plain_bytes);
  derived.literal.assign(bytes.begin(), bytes.end());
  return OkStatus();
}

Status ReadFunction(ByteReader& reader, DerivedExtent& derived) {
  uint8_t kind = 0;
  switch (derived.function) {
    case Function::kCopy:
      derived.input = reader.ReadU32();
      derived.offset_bytes = reader.ReadU64();
      return OkStatus();
    case Function::kLiteral:
      return ReadLiteral(reader, derived);
    case Function::kDequantize:
      kind = reader.ReadU8();
      if (kind > static_cast<uint8_t>(FloatType::kF32)) return Corrupt("derived extent of unknown numbers");
      derived.output = static_cast<FloatType>(kind);
      return ReadMatrix(reader, derived.matrix);
    case Function::kFlip:
      derived.input = reader.ReadU32();
      derived.mask = reader.ReadU8();
      return OkStatus();
    case Function::kInterleave:
      derived.block_type = static_cast<BlockType>(reader.ReadU8());
      if (BlockBytes(derived.block_type) == 0) return Corrupt("derived extent of unknown blocks");
      return ReadMatrix(reader, derived.matrix);
  }
  return Corrupt("derived extent of an unknown function");
}

Result<DerivedExtent> ReadDerived(ByteReader& reader) {
  DerivedExtent derived;
  derived.name = ReadText(reader);
  derived.function = static_cast<Function>(reader.ReadU8());
  derived.plain_bytes = reader.ReadU64();
  if (!reader.ok()) return Corrupt("broken derived extent");
  ENTROFS_RETURN_IF_ERROR(ReadFunction(reader, derived));
  if (!reader.ok()) return Corrupt("broken derived extent");
  return derived;
}

Result<ViewFile> ReadViewFile(ByteReader& reader) {
  ViewFile file;
  ENTROFS_ASSIGN_OR_RETURN(const uint32_t extent_count, ReadFileFields(reader, sizeof(uint32_t), file));
  for (uint32_t i = 0; i < extent_count; ++i) file.extents.push_back(reader.ReadU32());
  return file;
}

Result<View> ReadView(ByteReader& reader) {
  View view;
  view.name = ReadText(reader);
  const uint32_t directory_count = ReadCount(reader, 4);
  for (uint32_t i = 0; i < directory_count && reader.ok(); ++i) view.directories.push_back(ReadText(reader));
  const uint32_t file_count = ReadCount(reader, kFileFixedBytes);
  if (!reader.ok()) return Corrupt("broken view");
  size_t extents = 0;
  for (uint32_t i = 0; i < file_count; ++i) {
    ENTROFS_ASSIGN_OR_RETURN(ViewFile file, ReadViewFile(reader));
    extents += file.extents.size();
    if (extents > kMaxViewExtents) return Corrupt("view of too many extents");
    view.files.push_back(std::move(file));
  }
  return view;
}

// Names that are safe, distinct and in order; a default that is one of them.
Status CheckNames(const Index& index) {
  if (!index.tree_name.empty() && !IsViewName(index.tree_name)) return Corrupt("stored tree of an impossible name");
  if (index.tree_name.empty() && !(index.files.empty() && index.directories.empty())) {
    return Corrupt("stored tree without a name");
  }
  bool default_found = !index.tree_name.empty() && index.default_view == index.tree_name;
  const std::string* previous = nullptr;
  for (const View& view : index.views) {
    if (!IsViewName(view.name)) return Corrupt("view of an impossible name");
    if (view.name == index.tree_name || (previous != nullptr && view.name <= *previous)) {
      return Corrupt("views out of order or twice");
    }
    previous = &view.name;
    default_found = default_found || view.name == index.default_view;
  }
  return default_found ? OkStatus() : Status(Corrupt("default view that is not there"));
}

Status CheckViewTree(const View& view) {
  std::vector<std::string_view> files;
  files.reserve(view.files.size());
  for (const ViewFile& file : view.files) files.push_back(file.path);
  std::vector<std::string_view> directories(view.directories.begin(), view.directories.end());
  if (Status status = CheckTree(files, directories); !status) {
    return Corrupt("view " + view.name + ": " + status.error().message);
  }
  return OkStatus();
}

void VisitInputs(const DerivedExtent& derived, const auto& use) {
  const CodeMatrix& m = derived.matrix;
  for (uint32_t number : {derived.input, m.codes, m.scales, m.zeros, m.column_scales}) {
    if (number != kNoExtent) use(number);
  }
}

// Everything there is must serve something, or nobody who reads the files would notice that it is broken.
Status CheckAllUsed(const Index& index, const std::vector<const Extent*>& stored) {
  std::vector<bool> used(stored.size() + index.derived.size());
  for (const View& view : index.views) {
    for (const ViewFile& file : view.files) {
      for (uint32_t number : file.extents) used[number] = true;
    }
  }
  for (size_t i = 0; i < index.derived.size(); ++i) {
    if (!used[stored.size() + i]) return Corrupt("derived extent that nothing uses");
    VisitInputs(index.derived[i], [&](uint32_t number) { used[number] = true; });
  }
  for (const VirtualFile& file : index.files) {
    for (const Extent& extent : file.extents) {
      if (extent.plain_bytes == 0) continue;
      auto at = std::lower_bound(stored.begin(), stored.end(), extent.index_archive_offset,
                                 [](const Extent* e, uint64_t offset) { return e->index_archive_offset < offset; });
      used[static_cast<size_t>(at - stored.begin())] = true;
    }
  }
  if (std::find(used.begin(), used.end(), false) != used.end()) return Corrupt("extent of the pool that nothing uses");
  return OkStatus();
}

Status CheckFile(const ViewFile& file, const Index& index, const std::vector<const Extent*>& stored) {
  uint64_t size = 0;
  for (uint32_t number : file.extents) {
    if (number >= stored.size() + index.derived.size()) return Corrupt("file of an extent that is not there");
    const uint64_t bytes =
        number < stored.size() ? stored[number]->plain_bytes : index.derived[number - stored.size()].plain_bytes;
    if (bytes > kMaxFileBytes - size) return Corrupt("file too large");
    size += bytes;
  }
  return size == file.size_bytes ? OkStatus() : Status(Corrupt("file size is not the sum of its extents"));
}

}  // namespace

bool IsViewName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxViewNameBytes && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

size_t BlockBytes(BlockType type) {
  switch (type) {
    case BlockType::kQ4_0:
      return 2 + 16;
    case BlockType::kQ4_1:
      return 4 + 16;
    case BlockType::kQ8_0:
      return 2 + 32;
  }
  return 0;
}

void WriteViews(ByteWriter& writer, const Index& index) {
  writer.WriteU32(static_cast<uint32_t>(index.derived.size()));
  for (const DerivedExtent& derived : index.derived) WriteDerived(writer, derived);
  writer.WriteU32(static_cast<uint32_t>(index.views.size()));
  for (const View& view : index.views) {
    WriteText(writer, view.name);
    writer.WriteU32(static_cast<uint32_t>(view.directories.size()));
    for (const std::string& path : view.directories) WriteText(writer, path);
    writer.WriteU32(static_cast<uint32_t>(view.files.size()));
    for (const ViewFile& file : view.files) {
      WriteFileFields(writer, file);
      for (uint32_t number : file.extents) writer.WriteU32(number);
    }
  }
  WriteText(writer, index.default_view);
}

Status ReadViews(ByteReader& reader, Index& index) {
  const uint32_t derived_count = ReadCount(reader, kDerivedFixedBytes);
  if (derived_count > kMaxDerivedExtents) return Corrupt("too many derived extents");
  index.derived.reserve(derived_count);
  for (uint32_t i = 0; i < derived_count; ++i) {
    ENTROFS_ASSIGN_OR_RETURN(DerivedExtent derived, ReadDerived(reader));
    index.derived.push_back(std::move(derived));
  }
  const uint32_t view_count = ReadCount(reader, kViewFixedBytes);
  if (!reader.ok()) return Corrupt("broken views");
  if (view_count > kMaxViews) return Corrupt("too many views");
  for (uint32_t i = 0; i < view_count; ++i) {
    ENTROFS_ASSIGN_OR_RETURN(View view, ReadView(reader));
    index.views.push_back(std::move(view));
  }
  index.default_view = ReadText(reader);
  return reader.ok() ? OkStatus() : Status(Corrupt("broken views"));
}

Status CheckViews(const Index& index) {
  ENTROFS_RETURN_IF_ERROR(CheckNames(index));
  const std::vector<const Extent*> stored = StoredExtents(index);
  for (const DerivedExtent& derived : index.derived) ENTROFS_RETURN_IF_ERROR(CheckDerived(derived, stored));
  for (const View& view : index.views) {
    ENTROFS_RETURN_IF_ERROR(CheckViewTree(view));
    for (const ViewFile& file : view.files) ENTROFS_RETURN_IF_ERROR(CheckFile(file, index, stored));
  }
  return CheckAllUsed(index, stored);
}

}  // namespace entrofs::archive
