// Any bytes as an archive, as they are and with their checksums repaired: opens or not, reads or not, nothing else.

#include <cstdlib>

#include "archive/archive_reader.h"
#include "tests/fuzz/repair.h"
#include "tests/support/memory_file.h"
#include "view/view_reader.h"

namespace entrofs::fuzz {
namespace {

// What one input may decode, so that none takes long.
constexpr uint64_t kMaxPlainBytes = 1 << 20;

// Segments of every view, and some bytes across their borders.
void ReadView(const view::ViewReader& view, uint64_t& plain_bytes) {
  view::ViewReader::Scratch scratch;
  for (const view::File& file : view.files()) {
    for (const view::ViewExtent& extent : file.extents) {
      for (uint64_t segment = 0; segment < extent.segment_count(); ++segment) {
        std::vector<uint8_t> plain(extent.SegmentBytes(segment));
        plain_bytes += plain.size();
        if (plain_bytes > kMaxPlainBytes) return;
        (void)view.ReadSegment(extent, segment, scratch, plain);
        view.VisitStored(extent, segment, [](const archive::Extent& stored, uint64_t number) {
          if (number >= stored.segment_count()) std::abort();
        });
      }
      std::vector<uint8_t> part(std::min<uint64_t>(9, file.size_bytes - extent.file_offset_bytes));
      (void)view.ReadRange(file, extent.file_offset_bytes, scratch, part);
    }
  }
}

void ReadEverything(std::vector<uint8_t> bytes) {
  auto reader = archive::ArchiveReader::Open(std::make_unique<testing_support::MemoryFile>(std::move(bytes)), "fuzz");
  if (!reader) return;
  (void)(*reader)->ReadReport();
  std::vector<std::string> names = view::ViewNames((*reader)->index());
  if (names.empty()) names = {""};
  uint64_t plain_bytes = 0;
  for (const std::string& name : names) {
    auto view = view::ViewReader::Open(**reader, name);
    if (!view) std::abort();
    ReadView(**view, plain_bytes);
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
