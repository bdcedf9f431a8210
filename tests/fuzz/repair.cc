#include "tests/fuzz/repair.h"

#include <algorithm>

#include "archive/format.h"

namespace entrofs::fuzz {
namespace {

using archive::Block;
using archive::Extent;

// Fields of the footer that are kept where they are plausible.
constexpr size_t kReportStoredAt = 8;
constexpr size_t kReportPlainAt = 16;
constexpr size_t kIndexStoredAt = 40;
constexpr size_t kIndexPlainAt = 48;
constexpr size_t kFeaturesAt = 76;

Block RepairBlock(const std::vector<uint8_t>& bytes, uint64_t end, uint64_t wanted_stored, uint64_t wanted_plain) {
  Block block;
  block.stored_bytes = std::min(wanted_stored, end - archive::kHeaderBytes);
  block.archive_offset = end - block.stored_bytes;
  block.plain_bytes = std::max(wanted_plain, block.stored_bytes);
  if (wanted_plain == wanted_stored) block.plain_bytes = block.stored_bytes;
  block.hash = Hash64(ByteSpan(bytes).subspan(block.archive_offset, block.stored_bytes), block.archive_offset);
  return block;
}

void StoreHash(std::vector<uint8_t>& bytes, uint64_t archive_offset, uint64_t size) {
  ByteSpan rest = ByteSpan(bytes).subspan(archive_offset + 8, size - 8);
  StoreLe<uint64_t>(bytes.data() + archive_offset, Hash64(rest, archive_offset));
}

// Segments of one page; stops at the first that does not lie in the archive.
void RepairPage(std::vector<uint8_t>& bytes, const Extent& extent, uint64_t page) {
  const uint64_t first = page * archive::kSegmentsPerIndexPage;
  const size_t count = std::min<uint64_t>(archive::kSegmentsPerIndexPage, extent.segment_count() - first);
  const uint64_t offset = extent.index_archive_offset + page * archive::IndexPageBytes(archive::kSegmentsPerIndexPage);
  const size_t size = archive::IndexPageBytes(count);
  if (page == 0) StoreLe<uint64_t>(bytes.data() + offset + 8, archive::BeginArchiveOffset(extent));
  StoreHash(bytes, offset, size);
  auto decoded = archive::DecodeIndexPage(ByteSpan(bytes).subspan(offset, size), extent, page);
  if (!decoded) return;
  uint64_t begin = decoded->base_archive_offset;
  for (uint32_t end : decoded->ends) {
    StoreHash(bytes, begin, decoded->base_archive_offset + end - begin);
    begin = decoded->base_archive_offset + end;
  }
}

}  // namespace

void Repair(std::vector<uint8_t>& bytes) {
  if (bytes.size() < archive::kHeaderBytes + archive::kFooterBytes) return;
  auto header = archive::EncodeHeader();
  std::copy(header.begin(), header.end(), bytes.begin());
  const uint64_t footer_at = bytes.size() - archive::kFooterBytes;
  const uint8_t* old = bytes.data() + footer_at;
  archive::Footer footer;
  footer.index =
      RepairBlock(bytes, footer_at, LoadLe<uint64_t>(old + kIndexStoredAt), LoadLe<uint64_t>(old + kIndexPlainAt));
  footer.report = RepairBlock(bytes, footer.index.archive_offset, LoadLe<uint64_t>(old + kReportStoredAt),
                              LoadLe<uint64_t>(old + kReportPlainAt));
  footer.archive_bytes = bytes.size();
  footer.features = LoadLe<uint32_t>(old + kFeaturesAt) & archive::kKnownFeatures;
  auto encoded = archive::EncodeFooter(footer);
  std::copy(encoded.begin(), encoded.end(), bytes.begin() + static_cast<ptrdiff_t>(footer_at));

  if (!archive::DecodeFooter(encoded, bytes.size())) return;
  auto plain = archive::DecompressBlock(
      footer.index, ByteSpan(bytes).subspan(footer.index.archive_offset, footer.index.stored_bytes));
  if (!plain) return;
  auto index = archive::DecodeIndex(*plain, footer.report.archive_offset, footer.features);
  if (!index) return;
  archive::ForEachExtent(*index, [&](const Extent& extent) {
    for (uint64_t page = 0; page * archive::kSegmentsPerIndexPage < extent.segment_count(); ++page) {
      RepairPage(bytes, extent, page);
    }
  });
}

}  // namespace entrofs::fuzz
