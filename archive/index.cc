// The index: tables, directories, files and their extents. See docs/archive-format.md, "Index".

#include <algorithm>

#include "archive/format.h"
#include "archive/index_fields.h"
#include "archive/paths.h"

namespace entrofs::archive {
namespace {

constexpr size_t kTableFixedBytes = 4;

Error Corrupt(const std::string& what) { return CorruptIndex(what); }

bool NeedsTable(codec::CodecKind kind) { return kind == codec::CodecKind::kTans || kind == codec::CodecKind::kHuffman; }

// The numbers tables get in the index: in order of first use, unused ones none.
class TableNumbers {
 public:
  explicit TableNumbers(const Index& index) : numbers_(index.tables.size(), kNoTable) {
    ForEachExtent(index, [&](const Extent& extent) {
      for (const PlaneInfo& plane : extent.planes) Use(plane.table);
    });
  }
  const std::vector<uint32_t>& in_order() const { return in_order_; }
  uint32_t operator[](uint32_t table) const { return table == kNoTable ? kNoTable : numbers_[table]; }

 private:
  void Use(uint32_t table) {
    if (table == kNoTable || numbers_[table] != kNoTable) return;
    numbers_[table] = static_cast<uint32_t>(in_order_.size());
    in_order_.push_back(table);
  }

  std::vector<uint32_t> numbers_;
  std::vector<uint32_t> in_order_;
};

// What becomes of the elements of an extent before they are cut into planes; 2 and 3 need kExtendedLayouts, 4
// kTrellisLayouts.
enum class Transform : uint8_t { kNone = 0, kRotate = 1, kDelta = 2, kBlocks = 3, kTrellis = 4 };

bool IsAllowed(uint8_t transform, uint32_t features) {
  if (transform <= static_cast<uint8_t>(Transform::kRotate)) return true;
  if (transform == static_cast<uint8_t>(Transform::kTrellis)) return (features & kTrellisLayouts) != 0;
  return transform < static_cast<uint8_t>(Transform::kTrellis) && (features & kExtendedLayouts) != 0;
}

Transform TransformOf(const codec::Layout& layout) {
  if (!layout.block.empty()) return Transform::kBlocks;
  if (layout.delta) return Transform::kDelta;
  if (layout.trellis) return Transform::kTrellis;
  return layout.rotate_sign ? Transform::kRotate : Transform::kNone;
}

// The fields of a block, which follow the planes.
Status ReadBlock(ByteReader& reader, size_t plane_count, codec::Layout& layout) {
  const uint8_t count = reader.ReadU8();
  if (!reader.ok() || count == 0 || count > codec::kMaxBlockFields) return Corrupt("block of too few or many fields");
  for (uint8_t i = 0; i < count; ++i) {
    const uint16_t bytes = reader.ReadU16();
    layout.block.push_back({bytes, reader.ReadU8()});
  }
  if (!reader.ok() || layout.plane_count() != plane_count) return Corrupt("broken block");
  return OkStatus();
}

void WriteExtent(ByteWriter& writer, const Extent& extent, const TableNumbers& numbers) {
  WriteText(writer, extent.name);
  writer.WriteU8(static_cast<uint8_t>(extent.layout.plane_count()));
  writer.WriteU8(static_cast<uint8_t>(TransformOf(extent.layout)));
  writer.WriteU32(extent.segment_bytes);
  writer.WriteU64(extent.plain_bytes);
  writer.WriteU64(extent.index_archive_offset);
  writer.WriteU64(extent.stored_bytes);
  for (const PlaneInfo& plane : extent.planes) {
    writer.WriteU8(static_cast<uint8_t>(plane.kind));
    writer.WriteU32(numbers[plane.table]);
  }
  if (extent.layout.block.empty()) return;
  writer.WriteU8(static_cast<uint8_t>(extent.layout.block.size()));
  for (const codec::BlockField& field : extent.layout.block) {
    writer.WriteU16(field.bytes);
    writer.WriteU8(field.plane);
  }
}

Result<Table> ReadTable(ByteReader& reader) {
  Table table;
  uint8_t kind = reader.ReadU8();
  uint8_t reserved = reader.ReadU8();
  ByteSpan serialized = reader.ReadBytes(reader.ReadU16());
  table.kind = static_cast<codec::CodecKind>(kind);
  if (!reader.ok() || !NeedsTable(table.kind)) return Corrupt("table of unknown kind");
  if (reserved != 0) return Corrupt("reserved byte is not zero");
  if (serialized.size() > codec::kMaxTableBytes) return Corrupt("table too long");
  table.serialized.assign(serialized.begin(), serialized.end());
  return table;
}

Result<PlaneInfo> ReadPlane(ByteReader& reader, const std::vector<Table>& tables) {
  PlaneInfo plane;
  uint8_t kind = reader.ReadU8();
  plane.table = reader.ReadU32();
  plane.kind = static_cast<codec::CodecKind>(kind);
  if (kind > static_cast<uint8_t>(codec::CodecKind::kZstd)) return Corrupt("plane of unknown kind");
  if (!NeedsTable(plane.kind)) {
    if (plane.table != kNoTable) return Corrupt("plane with a table it cannot use");
    return plane;
  }
  if (plane.table >= tables.size() || tables[plane.table].kind != plane.kind) {
    return Corrupt("plane without a table of its kind");
  }
  return plane;
}

// What one extent alone can show; where it lies is checked by CheckTiling.
Status CheckExtent(const Extent& extent) {
  if (extent.segment_bytes < codec::kMinSegmentBytes || extent.segment_bytes > codec::kMaxSegmentBytes ||
      extent.segment_bytes % codec::kSegmentGranularityBytes != 0) {
    return Corrupt("segment size out of range");
  }
  if (extent.plain_bytes > kMaxFileBytes) return Corrupt("extent too large");
  if (extent.plain_bytes == 0) {
    if (extent.stored_bytes != 0 || extent.index_archive_offset != 0) return Corrupt("empty extent with stored bytes");
    return OkStatus();
  }
  uint64_t segments = extent.segment_count();
  uint64_t least = AllIndexPagesBytes(segments) + segments * kMinStoredSegmentBytes;
  if (extent.stored_bytes < least) return Corrupt("extent with too few stored bytes");
  return OkStatus();
}

Status CheckLayout(const codec::Layout& layout) {
  Status status = codec::ValidateLayout(layout);
  return status ? OkStatus() : Status(Corrupt(status.error().message));
}

Result<Extent> ReadExtent(ByteReader& reader, const std::vector<Table>& tables, uint32_t features) {
  Extent extent;
  extent.name = ReadText(reader);
  const uint8_t plane_count = reader.ReadU8();
  const uint8_t transform = reader.ReadU8();
  extent.segment_bytes = reader.ReadU32();
  extent.plain_bytes = reader.ReadU64();
  extent.index_archive_offset = reader.ReadU64();
  extent.stored_bytes = reader.ReadU64();
  if (!reader.ok() || !IsAllowed(transform, features)) return Corrupt("broken extent");
  const bool is_block = transform == static_cast<uint8_t>(Transform::kBlocks);
  if (plane_count == 0 || plane_count > codec::kMaxPlanes) return Corrupt("extent of too few or many planes");
  extent.layout.element_bytes = is_block ? 1 : plane_count;
  extent.layout.rotate_sign = transform == static_cast<uint8_t>(Transform::kRotate);
  extent.layout.delta = transform == static_cast<uint8_t>(Transform::kDelta);
  extent.layout.trellis = transform == static_cast<uint8_t>(Transform::kTrellis);
  if (!is_block) ENTROFS_RETURN_IF_ERROR(CheckLayout(extent.layout));
  extent.planes.reserve(plane_count);
  for (size_t p = 0; p < plane_count; ++p) {
    ENTROFS_ASSIGN_OR_RETURN(PlaneInfo plane, ReadPlane(reader, tables));
    extent.planes.push_back(plane);
  }
  if (is_block) {
    ENTROFS_RETURN_IF_ERROR(ReadBlock(reader, plane_count, extent.layout));
    ENTROFS_RETURN_IF_ERROR(CheckLayout(extent.layout));
  }
  ENTROFS_RETURN_IF_ERROR(CheckExtent(extent));
  return extent;
}

Result<VirtualFile> ReadFile(ByteReader& reader, const std::vector<Table>& tables, uint32_t features) {
  VirtualFile file;
  ENTROFS_ASSIGN_OR_RETURN(const uint32_t extent_count, ReadFileFields(reader, kExtentFixedBytes, file));
  uint64_t size = 0;
  for (uint32_t i = 0; i < extent_count; ++i) {
    ENTROFS_ASSIGN_OR_RETURN(Extent extent, ReadExtent(reader, tables, features));
    if (extent.plain_bytes > kMaxFileBytes - size) return Corrupt("file too large");
    size += extent.plain_bytes;
    file.extents.push_back(std::move(extent));
  }
  if (size != file.size_bytes) return Corrupt("file size is not the sum of its extents");
  return file;
}

Status ReadPool(ByteReader& reader, Index& index, uint32_t features) {
  index.tree_name = ReadText(reader);
  const uint32_t count = ReadCount(reader, kExtentFixedBytes);
  if (!reader.ok()) return Corrupt("broken pool");
  index.pool.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    ENTROFS_ASSIGN_OR_RETURN(Extent extent, ReadExtent(reader, index.tables, features));
    if (extent.plain_bytes == 0) return Corrupt("empty extent in the pool");
    index.pool.push_back(std::move(extent));
  }
  return OkStatus();
}

bool SameStorage(const Extent& a, const Extent& b) {
  return a.index_archive_offset == b.index_archive_offset && a.stored_bytes == b.stored_bytes &&
         a.plain_bytes == b.plain_bytes && a.segment_bytes == b.segment_bytes && a.layout == b.layout &&
         a.planes == b.planes;
}

// The extents, shared ones once, fill the archive from the header to `extents_end`.
Status CheckTiling(const Index& index, uint64_t extents_end) {
  std::vector<const Extent*> extents;
  ForEachExtent(index, [&](const Extent& extent) {
    if (extent.plain_bytes > 0) extents.push_back(&extent);
  });
  std::sort(extents.begin(), extents.end(),
            [](const Extent* a, const Extent* b) { return a->index_archive_offset < b->index_archive_offset; });
  uint64_t position = kHeaderBytes;
  const Extent* previous = nullptr;
  for (const Extent* extent : extents) {
    if (previous != nullptr && previous->index_archive_offset == extent->index_archive_offset) {
      if (!SameStorage(*previous, *extent)) return Corrupt("extents that share some of their bytes");
      continue;
    }
    uint64_t pages_bytes = AllIndexPagesBytes(extent->segment_count());
    if (extent->stored_bytes > extents_end - position ||
        extent->index_archive_offset != position + extent->stored_bytes - pages_bytes) {
      return Corrupt("extent out of place");
    }
    position += extent->stored_bytes;
    previous = extent;
  }
  if (position != extents_end) return Corrupt("bytes that belong to no extent");
  return OkStatus();
}

Status CheckPaths(const Index& index) {
  std::vector<std::string_view> files;
  files.reserve(index.files.size());
  for (const VirtualFile& file : index.files) files.push_back(file.path);
  std::vector<std::string_view> directories(index.directories.begin(), index.directories.end());
  if (Status status = CheckTree(files, directories); !status) return Corrupt(status.error().message);
  return OkStatus();
}

// Bounds what parsing all tables costs by what is stored: a table takes more memory than its record.
Status CheckTablesUsed(const Index& index) {
  std::vector<bool> used(index.tables.size());
  ForEachExtent(index, [&](const Extent& extent) {
    for (const PlaneInfo& plane : extent.planes) {
      if (plane.table != kNoTable) used[plane.table] = true;
    }
  });
  if (std::find(used.begin(), used.end(), false) != used.end()) return Corrupt("table that nothing uses");
  return OkStatus();
}

}  // namespace

uint32_t FeaturesOf(const Index& index) {
  uint32_t features = index.has_views() ? kViews : 0;
  ForEachExtent(index, [&](const Extent& extent) {
    if (extent.layout.is_extended()) features |= kExtendedLayouts;
    if (extent.layout.trellis) features |= kTrellisLayouts;
  });
  return features;
}

std::vector<const Extent*> StoredExtents(const Index& index) {
  std::vector<const Extent*> extents;
  ForEachExtent(index, [&](const Extent& extent) {
    if (extent.plain_bytes > 0) extents.push_back(&extent);
  });
  auto place = [](const Extent* extent) { return extent->index_archive_offset; };
  std::stable_sort(extents.begin(), extents.end(),
                   [&](const Extent* a, const Extent* b) { return place(a) < place(b); });
  extents.erase(std::unique(extents.begin(), extents.end(),
                            [&](const Extent* a, const Extent* b) { return place(a) == place(b); }),
                extents.end());
  return extents;
}

std::vector<uint8_t> EncodeIndex(const Index& index) {
  TableNumbers numbers(index);
  ByteWriter writer;
  writer.WriteU32(static_cast<uint32_t>(numbers.in_order().size()));
  for (uint32_t number : numbers.in_order()) {
    const Table& table = index.tables[number];
    writer.WriteU8(static_cast<uint8_t>(table.kind));
    writer.WriteU8(0);
    writer.WriteU16(static_cast<uint16_t>(table.serialized.size()));
    writer.WriteBytes(table.serialized);
  }
  writer.WriteU32(static_cast<uint32_t>(index.directories.size()));
  for (const std::string& path : index.directories) WriteText(writer, path);
  writer.WriteU32(static_cast<uint32_t>(index.files.size()));
  for (const VirtualFile& file : index.files) {
    WriteFileFields(writer, file);
    for (const Extent& extent : file.extents) WriteExtent(writer, extent, numbers);
  }
  if (index.has_views()) {
    WriteText(writer, index.tree_name);
    writer.WriteU32(static_cast<uint32_t>(index.pool.size()));
    for (const Extent& extent : index.pool) WriteExtent(writer, extent, numbers);
    WriteViews(writer, index);
  }
  return std::move(writer).Take();
}

Result<Index> DecodeIndex(ByteSpan bytes, uint64_t extents_end, uint32_t features) {
  if (extents_end < kHeaderBytes) return Corrupt("no room for extents");
  ByteReader reader(bytes);
  Index index;
  uint32_t table_count = ReadCount(reader, kTableFixedBytes);
  index.tables.reserve(table_count);
  for (uint32_t i = 0; i < table_count; ++i) {
    ENTROFS_ASSIGN_OR_RETURN(Table table, ReadTable(reader));
    index.tables.push_back(std::move(table));
  }
  uint32_t directory_count = ReadCount(reader, 4);
  for (uint32_t i = 0; i < directory_count && reader.ok(); ++i) index.directories.push_back(ReadText(reader));
  uint32_t file_count = ReadCount(reader, kFileFixedBytes);
  for (uint32_t i = 0; i < file_count; ++i) {
    ENTROFS_ASSIGN_OR_RETURN(VirtualFile file, ReadFile(reader, index.tables, features));
    index.files.push_back(std::move(file));
  }
  if ((features & kViews) != 0) {
    ENTROFS_RETURN_IF_ERROR(ReadPool(reader, index, features));
    ENTROFS_RETURN_IF_ERROR(ReadViews(reader, index));
  }
  if (!reader.AtEnd()) return Corrupt("broken or longer than its records");
  ENTROFS_RETURN_IF_ERROR(CheckPaths(index));
  ENTROFS_RETURN_IF_ERROR(CheckTiling(index, extents_end));
  ENTROFS_RETURN_IF_ERROR(CheckTablesUsed(index));
  if ((features & kViews) != 0) ENTROFS_RETURN_IF_ERROR(CheckViews(index));
  return index;
}

}  // namespace entrofs::archive
