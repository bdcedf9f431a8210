#include "archive/format.h"

#include <zstd.h>

#include <algorithm>

namespace entrofs::archive {
namespace {

constexpr size_t kFooterChecksumAt = kFooterBytes - 16;
constexpr int kZstdLevel = 9;

Error Corrupt(const char* what) { return Error{ErrorCode::kCorrupt, what}; }

void WriteBlock(ByteWriter& writer, const Block& block) {
  writer.WriteU64(block.archive_offset);
  writer.WriteU64(block.stored_bytes);
  writer.WriteU64(block.plain_bytes);
  writer.WriteU64(block.hash);
}

Block ReadBlock(ByteReader& reader) {
  Block block;
  block.archive_offset = reader.ReadU64();
  block.stored_bytes = reader.ReadU64();
  block.plain_bytes = reader.ReadU64();
  block.hash = reader.ReadU64();
  return block;
}

Status CheckVersion(uint32_t version, uint32_t flags, uint32_t known_flags) {
  if (version != kVersion) {
    return Error{ErrorCode::kUnsupported, "archive of version " + std::to_string(version) +
                                              "; this program reads version " + std::to_string(kVersion)};
  }
  if ((flags & ~known_flags) != 0) {
    char text[16];
    std::snprintf(text, sizeof text, "0x%08x", flags & ~known_flags);
    return Error{ErrorCode::kUnsupported, std::string("archive with unknown feature flags ") + text};
  }
  return OkStatus();
}

bool IsPlausible(const Block& block) {
  return block.plain_bytes <= kMaxBlockBytes && block.stored_bytes <= block.plain_bytes &&
         block.plain_bytes <= kBlockSlackBytes + kMaxBlockRatio * block.stored_bytes;
}

}  // namespace

uint64_t AllIndexPagesBytes(uint64_t segment_count) {
  uint64_t full_pages = segment_count / kSegmentsPerIndexPage;
  size_t last = segment_count % kSegmentsPerIndexPage;
  return full_pages * IndexPageBytes(kSegmentsPerIndexPage) + (last > 0 ? IndexPageBytes(last) : 0);
}

uint64_t BeginArchiveOffset(const Extent& extent) {
  return extent.index_archive_offset + AllIndexPagesBytes(extent.segment_count()) - extent.stored_bytes;
}

size_t SegmentPlainBytes(const Extent& extent, uint64_t segment) {
  return static_cast<size_t>(
      std::min<uint64_t>(extent.segment_bytes, extent.plain_bytes - segment * extent.segment_bytes));
}

std::array<uint8_t, kHeaderBytes> EncodeHeader() {
  std::array<uint8_t, kHeaderBytes> bytes{};
  std::copy(kMagic.begin(), kMagic.end(), bytes.begin());
  StoreLe<uint32_t>(bytes.data() + 8, kVersion);
  return bytes;
}

Status DecodeHeader(ByteSpan bytes) {
  if (bytes.size() != kHeaderBytes || !std::equal(kMagic.begin(), kMagic.end(), bytes.begin())) {
    return Corrupt("not an entrofs archive");
  }
  return CheckVersion(LoadLe<uint32_t>(bytes.data() + 8), LoadLe<uint32_t>(bytes.data() + 12), 0);
}

std::array<uint8_t, kFooterBytes> EncodeFooter(const Footer& footer) {
  ByteWriter writer;
  WriteBlock(writer, footer.report);
  WriteBlock(writer, footer.index);
  writer.WriteU64(footer.archive_bytes);
  writer.WriteU32(kVersion);
  writer.WriteU32(footer.features);
  writer.WriteU64(Hash64(writer.bytes()));
  writer.WriteBytes(ByteSpan(kMagic));
  std::array<uint8_t, kFooterBytes> bytes{};
  std::copy(writer.bytes().begin(), writer.bytes().end(), bytes.begin());
  return bytes;
}

Result<Footer> DecodeFooter(ByteSpan bytes, uint64_t file_bytes) {
  if (bytes.size() != kFooterBytes || file_bytes < kHeaderBytes + kFooterBytes) return Corrupt("too short");
  if (!std::equal(kMagic.begin(), kMagic.end(), bytes.end() - kMagic.size())) {
    return Corrupt("incomplete archive: its end is missing");
  }
  if (Hash64(bytes.first(kFooterChecksumAt)) != LoadLe<uint64_t>(bytes.data() + kFooterChecksumAt)) {
    return Corrupt("footer: checksum mismatch");
  }
  ByteReader reader(bytes);
  Footer footer;
  footer.report = ReadBlock(reader);
  footer.index = ReadBlock(reader);
  footer.archive_bytes = reader.ReadU64();
  uint32_t version = reader.ReadU32();
  footer.features = reader.ReadU32();
  ENTROFS_RETURN_IF_ERROR(CheckVersion(version, footer.features, kKnownFeatures));
  if (footer.archive_bytes != file_bytes) {
    return Error{ErrorCode::kCorrupt, "archive of " + std::to_string(footer.archive_bytes) + " bytes in a file of " +
                                          std::to_string(file_bytes)};
  }
  // Written so that no sum can overflow: each block ends exactly where the next part begins.
  const uint64_t index_end = file_bytes - kFooterBytes;
  if (footer.index.stored_bytes > index_end - kHeaderBytes ||
      footer.index.archive_offset != index_end - footer.index.stored_bytes) {
    return Corrupt("footer: index out of place");
  }
  if (footer.report.stored_bytes > footer.index.archive_offset - kHeaderBytes ||
      footer.report.archive_offset != footer.index.archive_offset - footer.report.stored_bytes) {
    return Corrupt("footer: report out of place");
  }
  if (!IsPlausible(footer.index)) return Corrupt("footer: index of an impossible size");
  if (!IsPlausible(footer.report)) return Corrupt("footer: report of an impossible size");
  return footer;
}

std::vector<uint8_t> CompressBlock(ByteSpan plain) {
  std::vector<uint8_t> stored(ZSTD_compressBound(plain.size()));
  size_t size = ZSTD_compress(stored.data(), stored.size(), plain.data(), plain.size(), kZstdLevel);
  bool gains = !ZSTD_isError(size) && size < plain.size() && plain.size() <= kBlockSlackBytes + kMaxBlockRatio * size;
  if (!gains) return std::vector<uint8_t>(plain.begin(), plain.end());
  stored.resize(size);
  return stored;
}

Result<std::vector<uint8_t>> DecompressBlock(const Block& block, ByteSpan stored) {
  if (block.plain_bytes == stored.size()) return std::vector<uint8_t>(stored.begin(), stored.end());
  std::vector<uint8_t> plain(block.plain_bytes);
  size_t size = ZSTD_decompress(plain.data(), plain.size(), stored.data(), stored.size());
  if (ZSTD_isError(size) || size != plain.size()) return Corrupt("broken zstd frame");
  return plain;
}

size_t IndexPageBytes(size_t segment_count) { return 16 + 4 * segment_count; }

std::vector<uint8_t> EncodeIndexPage(const IndexPage& page, uint64_t page_archive_offset) {
  ByteWriter writer;
  writer.WriteU64(0);
  writer.WriteU64(page.base_archive_offset);
  for (uint32_t end : page.ends) writer.WriteU32(end);
  std::vector<uint8_t> bytes = std::move(writer).Take();
  StoreLe<uint64_t>(bytes.data(), Hash64(ByteSpan(bytes).subspan(8), page_archive_offset));
  return bytes;
}

Result<IndexPage> DecodeIndexPage(ByteSpan bytes, const Extent& extent, uint64_t page) {
  const uint64_t first_segment = page * kSegmentsPerIndexPage;
  const uint64_t segment_count = extent.segment_count();
  const size_t count = static_cast<size_t>(std::min<uint64_t>(kSegmentsPerIndexPage, segment_count - first_segment));
  const uint64_t page_archive_offset = extent.index_archive_offset + page * IndexPageBytes(kSegmentsPerIndexPage);
  if (bytes.size() != IndexPageBytes(count)) return Corrupt("segment index: wrong size");
  if (Hash64(bytes.subspan(8), page_archive_offset) != LoadLe<uint64_t>(bytes.data())) {
    return Corrupt("segment index: checksum mismatch");
  }
  ByteReader reader(bytes.subspan(8));
  IndexPage decoded;
  decoded.base_archive_offset = reader.ReadU64();
  decoded.ends.resize(count);
  uint32_t previous = 0;
  for (size_t i = 0; i < count; ++i) {
    uint32_t end = reader.ReadU32();
    uint64_t limit = SegmentPlainBytes(extent, first_segment + i) + kMaxSegmentOverheadBytes;
    if (end < previous || end - previous < kMinStoredSegmentBytes || end - previous > limit) {
      return Corrupt("segment index: segment of an impossible size");
    }
    decoded.ends[i] = previous = end;
  }
  const uint64_t begin = BeginArchiveOffset(extent);
  const uint64_t base = decoded.base_archive_offset;
  const bool is_last = first_segment + count == segment_count;
  if (base < begin || base > extent.index_archive_offset || previous > extent.index_archive_offset - base ||
      (page == 0 && base != begin) || (is_last && base + previous != extent.index_archive_offset)) {
    return Corrupt("segment index: segments out of place");
  }
  return decoded;
}

}  // namespace entrofs::archive
