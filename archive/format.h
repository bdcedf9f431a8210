#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "archive/views.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/result.h"
#include "codec/codec.h"

// The archive file's structures <-> bytes, without I/O. Specified in docs/archive-format.md; change both together.
//
//   header | extents: segments, then their index pages | report (zstd) | index (zstd) | footer
namespace entrofs::archive {

inline constexpr std::array<uint8_t, 8> kMagic = {'E', 'N', 'T', 'R', 'O', 'F', 'S', '\n'};
inline constexpr uint32_t kVersion = 1;
// Feature flags, in the footer; the header has none.
inline constexpr uint32_t kExtendedLayouts = 1;  // some extent is cut into blocks, or holds differences of elements
inline constexpr uint32_t kTrellisLayouts = 2;   // some extent holds indices of a trellis
inline constexpr uint32_t kViews = 4;            // it has a pool, derived extents and views
inline constexpr uint32_t kKnownFeatures = kExtendedLayouts | kTrellisLayouts | kViews;
inline constexpr size_t kHeaderBytes = 16;
inline constexpr size_t kFooterBytes = 96;
// Stored segments begin with the XXH3-64 (seed: their archive offset) of the rest.
inline constexpr size_t kSegmentChecksumBytes = 8;
// A stored segment, its checksum included, is at most this much longer than its plain bytes, and at least
// kMinStoredSegmentBytes long.
inline constexpr size_t kMaxSegmentOverheadBytes = 256;
inline constexpr size_t kMinStoredSegmentBytes = kSegmentChecksumBytes + 1;
// One page of the segment index lists at most this many segments.
inline constexpr size_t kSegmentsPerIndexPage = 512;

inline constexpr uint32_t kNoTable = 0xffffffff;
inline constexpr size_t kMaxPathBytes = 4096;
inline constexpr size_t kMaxPathPartBytes = 255;

// One plane's codec for all segments of an extent.
struct PlaneInfo {
  codec::CodecKind kind = codec::CodecKind::kStored;
  uint32_t table = kNoTable;  // index into Index::tables; kNoTable unless kind is kTans or kHuffman
  friend bool operator==(const PlaneInfo&, const PlaneInfo&) = default;
};

// A run of plain bytes cut into segments of segment_bytes (the last may be shorter). Two extents with the same
// index_archive_offset share their stored bytes. An extent of no bytes stores nothing.
struct Extent {
  std::string name;  // the tensor, or what the bytes are ("header"); any bytes; for messages and reports
  uint64_t plain_bytes = 0;
  uint32_t segment_bytes = 0;
  codec::Layout layout;
  std::vector<PlaneInfo> planes;
  uint64_t index_archive_offset = 0;  // of the first index page; the segments end here, further pages follow
  uint64_t stored_bytes = 0;          // all segments with checksums, and index pages

  uint64_t segment_count() const { return segment_bytes == 0 ? 0 : (plain_bytes + segment_bytes - 1) / segment_bytes; }
};

// Bytes of all index pages of an extent of this many segments.
uint64_t AllIndexPagesBytes(uint64_t segment_count);
// Where the stored bytes of `extent` begin: its first segment.
uint64_t BeginArchiveOffset(const Extent& extent);
// Plain bytes of a segment: segment_bytes, or what is left for the last. Requires: segment < segment_count().
size_t SegmentPlainBytes(const Extent& extent, uint64_t segment);

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

// Everything about an archive but its segments and its report. `directories` and `files` are the *stored tree*: files
// of stored extents alone, which every reader can show. The rest is there in archives with the feature kViews only.
struct Index {
  std::vector<Table> tables;             // each used by some extent
  std::vector<std::string> directories;  // that no other path implies (empty ones); sorted
  std::vector<VirtualFile> files;        // sorted by path

  std::string tree_name;               // the stored tree as a view; "" when it is none (and then empty)
  std::vector<Extent> pool;            // stored extents that no file of the stored tree need show
  std::vector<DerivedExtent> derived;  // numbered behind the stored extents
  std::vector<View> views;             // sorted by name
  std::string default_view;            // tree_name or the name of a view
  bool has_views() const { return !default_view.empty(); }
};

// The stored extents by number: the place of their bytes in the archive counts, shared ones once and empty ones not at
// all. (Of shared ones, the first that `files` and then `pool` list.) Points into `index`.
std::vector<const Extent*> StoredExtents(const Index& index);

// Calls use(extent) for every extent record of the index, in its order.
template <typename Use>
void ForEachExtent(const Index& index, const Use& use) {
  for (const VirtualFile& file : index.files) {
    for (const Extent& extent : file.extents) use(extent);
  }
  for (const Extent& extent : index.pool) use(extent);
}

// A compressed block of the archive: where it is and how to check it.
struct Block {
  uint64_t archive_offset = 0;
  uint64_t stored_bytes = 0;
  uint64_t plain_bytes = 0;  // equal to stored_bytes: stored as is, else one zstd frame
  uint64_t hash = 0;         // XXH3-64 of the stored bytes, seed: archive_offset
};
// A block's plain size is bounded by its stored size, so that opening a small file takes little memory: at most this
// much, plus kMaxBlockRatio times the stored bytes.
inline constexpr uint64_t kBlockSlackBytes = 256 << 10;
inline constexpr uint64_t kMaxBlockRatio = 64;
inline constexpr uint64_t kMaxBlockBytes = 1 << 30;

struct Footer {
  Block report;
  Block index;
  uint64_t archive_bytes = 0;
  uint32_t features = 0;
};

std::array<uint8_t, kHeaderBytes> EncodeHeader();
// kCorrupt (not an archive) or kUnsupported (version, feature flags).
Status DecodeHeader(ByteSpan bytes);
std::array<uint8_t, kFooterBytes> EncodeFooter(const Footer& footer);
// `file_bytes` is the size of the whole file. Afterwards both blocks lie where they must and their sizes are bounded.
Result<Footer> DecodeFooter(ByteSpan bytes, uint64_t file_bytes);

// The stored form of a block of at most kMaxBlockBytes: a zstd frame, or the bytes themselves where that gains nothing.
std::vector<uint8_t> CompressBlock(ByteSpan plain);
// Requires: sizes checked by DecodeFooter. kCorrupt when `stored` is not plain_bytes long decompressed.
Result<std::vector<uint8_t>> DecompressBlock(const Block& block, ByteSpan stored);

// The features that an archive of this index needs.
uint32_t FeaturesOf(const Index& index);

// Plain (before zstd) form of the index. Drops tables that no extent uses and numbers the others in order of use.
std::vector<uint8_t> EncodeIndex(const Index& index);
// Parses and validates untrusted bytes completely: afterwards table numbers, sizes, layouts, paths and their order can
// be trusted, and the extents fill the archive from the header to `extents_end` without gap or overlap. Tables
// themselves are not parsed. `extents_end` is the archive offset of what follows the last extent, `features` are the
// footer's.
Result<Index> DecodeIndex(ByteSpan bytes, uint64_t extents_end, uint32_t features = 0);

// Where the segments of one index page are: segment i occupies [base + ends[i-1], base + ends[i]).
struct IndexPage {
  uint64_t base_archive_offset = 0;
  std::vector<uint32_t> ends;
};
size_t IndexPageBytes(size_t segment_count);
std::vector<uint8_t> EncodeIndexPage(const IndexPage& page, uint64_t page_archive_offset);
// Page `page` of `extent`, from its IndexPageBytes() bytes. Afterwards every segment of it lies within the extent and
// its stored size is bounded by its plain size.
Result<IndexPage> DecodeIndexPage(ByteSpan bytes, const Extent& extent, uint64_t page);

}  // namespace entrofs::archive
