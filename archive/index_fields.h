#pragma once

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "archive/format.h"
#include "base/bytes.h"

// What the parts of the index's reader and writer share. Internal to archive/.
namespace entrofs::archive {

inline constexpr uint64_t kMaxFileBytes = std::numeric_limits<int64_t>::max();
// The fewest bytes a record takes.
inline constexpr size_t kFileFixedBytes = 4 + 2 + 8 + 8 + 16 + 4;
inline constexpr size_t kExtentFixedBytes = 4 + 1 + 1 + 4 + 8 + 8 + 8;

inline Error CorruptIndex(const std::string& what) { return Error{ErrorCode::kCorrupt, "index: " + what}; }

inline void WriteText(ByteWriter& writer, std::string_view text) {
  writer.WriteU32(static_cast<uint32_t>(text.size()));
  writer.WriteBytes(AsBytes(text));
}

inline std::string ReadText(ByteReader& reader) { return std::string(AsText(reader.ReadBytes(reader.ReadU32()))); }

// Reads a count of records that take at least `record_bytes` each; a count the rest of the index cannot hold is an
// error, so reserving that many is safe.
inline uint32_t ReadCount(ByteReader& reader, size_t record_bytes) {
  uint32_t count = reader.ReadU32();
  if (count > reader.remaining() / record_bytes) {
    reader.ReadBytes(reader.remaining() + 1);
    return 0;
  }
  return count;
}

// What the records of files and of views' files have in common: all but their extents.
template <typename File>
void WriteFileFields(ByteWriter& writer, const File& file) {
  WriteText(writer, file.path);
  writer.WriteU16(static_cast<uint16_t>(file.mode));
  writer.WriteU64(static_cast<uint64_t>(file.mtime_ns));
  writer.WriteU64(file.size_bytes);
  writer.WriteBytes(ByteSpan(file.hash));
  writer.WriteU32(static_cast<uint32_t>(file.extents.size()));
}

// Reads them and returns the number of extents, each of which takes at least `extent_bytes` of what follows.
template <typename File>
Result<uint32_t> ReadFileFields(ByteReader& reader, size_t extent_bytes, File& file) {
  file.path = ReadText(reader);
  file.mode = reader.ReadU16();
  file.mtime_ns = static_cast<int64_t>(reader.ReadU64());
  file.size_bytes = reader.ReadU64();
  const ByteSpan hash = reader.ReadBytes(file.hash.size());
  const uint32_t extent_count = ReadCount(reader, extent_bytes);
  if (!reader.ok()) return CorruptIndex("broken file record");
  std::copy(hash.begin(), hash.end(), file.hash.begin());
  if ((file.mode & ~0555u) != 0) return CorruptIndex("file with mode bits it must not have");
  file.extents.reserve(extent_count);
  return extent_count;
}

// The part of the index behind the pool: derived extents and views.
void WriteViews(ByteWriter& writer, const Index& index);
// Reads it, validating all that can be without knowing the stored extents.
Status ReadViews(ByteReader& reader, Index& index);
// Checks all of it against the stored extents: names, every number, every size, that everything is used.
Status CheckViews(const Index& index);

// The checks of one derived extent against the stored extents, by number. kCorrupt names it.
Status CheckDerived(const DerivedExtent& derived, const std::vector<const Extent*>& stored);

}  // namespace entrofs::archive
