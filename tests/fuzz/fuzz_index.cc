// Any bytes as a plain index. What is accepted is encoded again to the same bytes, but for the numbers of its tables.

#include <cstdlib>

#include "archive/format.h"
#include "archive/paths.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace entrofs;
  if (size < 4) return 0;
  uint64_t extents_end = LoadLe<uint32_t>(data);
  ByteSpan bytes(data + 4, size - 4);
  auto index = archive::DecodeIndex(bytes, extents_end, archive::kKnownFeatures);
  if (!index) return 0;
  for (const archive::VirtualFile& file : index->files) {
    if (!archive::IsSafePath(file.path)) std::abort();
    for (const archive::Extent& extent : file.extents) {
      if (extent.stored_bytes > extents_end || extent.index_archive_offset > extents_end) std::abort();
    }
  }
  std::vector<uint8_t> again = archive::EncodeIndex(*index);
  if (again.size() != bytes.size()) std::abort();
  auto decoded = archive::DecodeIndex(again, extents_end, archive::kKnownFeatures);
  if (!decoded || archive::EncodeIndex(*decoded) != again) std::abort();
  return 0;
}
