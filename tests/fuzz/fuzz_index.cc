// Any bytes as a plain index, without views and with. What is accepted is encoded again to the same bytes, but for the
// numbers of its tables.

#include <cstdlib>

#include "archive/format.h"
#include "archive/paths.h"

namespace entrofs::fuzz {
namespace {

void CheckAccepted(const archive::Index& index, ByteSpan bytes, uint64_t extents_end, uint32_t features) {
  for (const archive::VirtualFile& file : index.files) {
    if (!archive::IsSafePath(file.path)) std::abort();
  }
  archive::ForEachExtent(index, [&](const archive::Extent& extent) {
    if (extent.stored_bytes > extents_end || extent.index_archive_offset > extents_end) std::abort();
  });
  const size_t numbers = archive::StoredExtents(index).size() + index.derived.size();
  for (const archive::View& view : index.views) {
    for (const archive::ViewFile& file : view.files) {
      if (!archive::IsSafePath(file.path)) std::abort();
      for (uint32_t number : file.extents) {
        if (number >= numbers) std::abort();
      }
    }
  }
  std::vector<uint8_t> again = archive::EncodeIndex(index);
  if (again.size() != bytes.size()) std::abort();
  auto decoded = archive::DecodeIndex(again, extents_end, features);
  if (!decoded || archive::EncodeIndex(*decoded) != again) std::abort();
}

}  // namespace
}  // namespace entrofs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace entrofs;
  if (size < 4) return 0;
  const uint64_t extents_end = LoadLe<uint32_t>(data);
  const ByteSpan bytes(data + 4, size - 4);
  for (uint32_t features : {archive::kKnownFeatures, archive::kKnownFeatures & ~archive::kViews}) {
    auto index = archive::DecodeIndex(bytes, extents_end, features);
    if (index) fuzz::CheckAccepted(*index, bytes, extents_end, features);
  }
  return 0;
}
