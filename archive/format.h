#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "codec/codec.h"

// The archive file's structures <-> bytes, without I/O. Specified in docs/archive-format.md; change both together.
//
//   header | segments and segment index pages, interleaved | index (zstd) | footer
namespace entrofs::archive {

inline constexpr std::array<uint8_t, 8> kMagic = {'E', 'N', 'T', 'R', 'O', 'F', 'S', '\n'};
inline constexpr uint32_t kVersion = 1;
inline constexpr size_t kHeaderBytes = 16;
inline constexpr size_t kFooterBytes = 72;
// Stored segments begin with the XXH3-64 (seed: their archive offset) of the rest.
inline constexpr size_t kSegmentChecksumBytes = 8;
// One page of the segment index lists at most this many segments.
inline constexpr size_t kSegmentsPerIndexPage = 512;

inline constexpr uint32_t kNoTable = 0xffffffff;

// One plane's codec for all segments of an extent.
struct PlaneInfo {
  codec::CodecKind kind = codec::CodecKind::kStored;
  uint32_t table = kNoTable;  // index into Index::tables
  friend bool operator==(const PlaneInfo&, const PlaneInfo&) = default;
};

// A run of plain bytes cut into segments of segment_bytes (the last may be shorter). Two extents with the same
// index_archive_offset share their stored bytes.
struct Extent {
  std::string name;  // the tensor, or what the bytes are ("header"); for messages and reports
  uint64_t plain_bytes = 0;
  uint32_t segment_bytes = 0;
  codec::Layout layout;
  std::vector<PlaneInfo> planes;
  uint64_t index_archive_offset = 0;  // of the first index page; further pages follow one another
  uint64_t stored_bytes = 0;          // all segments with checksums, and index pages

  uint64_t segment_count() const { return segment_bytes == 0 ? 0 : (plain_bytes + segment_bytes - 1) / segment_bytes; }
};

struct VirtualFile {
  std::string path;      // relative, '/' between parts, validated by IsSafePath
  uint32_t mode = 0444;  // permission bits, never writable
  int64_t mtime_ns = 0;
  uint64_t size_bytes = 0;  // sum over extents of plain_bytes
  Hash128 hash{};           // XXH3-128 of the whole content
  std::vector<Extent> extents;
};

struct Table {
  codec::CodecKind kind = codec::CodecKind::kTans;
  std::vector<uint8_t> serialized;
};

// Everything about an archive but its segments.
struct Index {
  std::vector<Table> tables;
  std::vector<std::string> directories;  // that no file's path implies (empty ones); sorted
  std::vector<VirtualFile> files;        // sorted by path
  // What the packer wants to keep, opaque here: JSON text (tensor dtypes, shapes, error figures, options).
  std::string report_json;
};

struct Footer {
  uint64_t index_archive_offset = 0;
  uint64_t index_stored_bytes = 0;
  uint64_t index_plain_bytes = 0;
  uint64_t index_hash = 0;  // XXH3-64 of the stored (zstd) index
  uint64_t archive_bytes = 0;
};

// True for a relative path without empty, "." or ".." parts, NUL or control characters, backslash-free is not required.
// At most 4096 bytes, parts at most 255.
bool IsSafePath(std::string_view path);

std::array<uint8_t, kHeaderBytes> EncodeHeader();
Status DecodeHeader(ByteSpan bytes);
std::array<uint8_t, kFooterBytes> EncodeFooter(const Footer& footer);
Result<Footer> DecodeFooter(ByteSpan bytes);

// Plain (before zstd) form of the index.
std::vector<uint8_t> EncodeIndex(const Index& index);
// Parses and validates untrusted bytes completely: afterwards table numbers, sizes, layouts, paths and their order can
// be trusted, and extents lie within `archive_bytes`.
Result<Index> DecodeIndex(ByteSpan bytes, uint64_t archive_bytes);

// Where the segments of one index page are: segment i occupies [base + ends[i-1], base + ends[i]).
struct IndexPage {
  uint64_t base_archive_offset = 0;
  std::vector<uint32_t> ends;
};
size_t IndexPageBytes(size_t segment_count);
std::vector<uint8_t> EncodeIndexPage(const IndexPage& page, uint64_t page_archive_offset);
Result<IndexPage> DecodeIndexPage(ByteSpan bytes, size_t segment_count, uint64_t page_archive_offset,
                                  uint64_t archive_bytes);

}  // namespace entrofs::archive
