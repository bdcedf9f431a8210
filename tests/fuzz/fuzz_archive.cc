// Any bytes as an archive, as they are and with their checksums repaired: opens or not, reads or not, nothing else.

#include "archive/archive_reader.h"
#include "tests/fuzz/repair.h"
#include "tests/support/memory_file.h"

namespace entrofs::fuzz {
namespace {

// What one input may decode, so that none takes long.
constexpr uint64_t kMaxPlainBytes = 1 << 20;

void ReadEverything(std::vector<uint8_t> bytes) {
  auto reader = archive::ArchiveReader::Open(std::make_unique<testing_support::MemoryFile>(std::move(bytes)), "fuzz");
  if (!reader) return;
  (void)(*reader)->ReadReport();
  archive::ArchiveReader::ReadScratch scratch;
  uint64_t plain_bytes = 0;
  for (const archive::VirtualFile& file : (*reader)->index().files) {
    for (const archive::Extent& extent : file.extents) {
      for (uint64_t segment = 0; segment < extent.segment_count(); ++segment) {
        std::vector<uint8_t> plain(archive::ArchiveReader::SegmentBytes(extent, segment));
        plain_bytes += plain.size();
        if (plain_bytes > kMaxPlainBytes) return;
        (void)(*reader)->ReadSegment(extent, segment, scratch, plain);
      }
    }
  }
}

}  // namespace
}  // namespace entrofs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> bytes(data, data + size);
  entrofs::fuzz::ReadEverything(bytes);
  entrofs::fuzz::Repair(bytes);
  entrofs::fuzz::ReadEverything(std::move(bytes));
  return 0;
}
