#include "packer/pack/view_writer.h"

#include <utility>

#include "view/derived.h"

namespace entrofs::packer::pack {
namespace {

using archive::ArchiveWriter;

// The numbers that a function has for its inputs until they have handles: their places in ViewPart::inputs.
constexpr uint32_t kCodes = 0;
constexpr uint32_t kScales = 1;
constexpr uint32_t kZeroPoints = 2;

// Shows stored bytes as they are: whole extents, and ranges of those that hold more.
Status AddStoredBytes(const tree::ViewPart& part, const StoredPlaces& places, ArchiveWriter& writer) {
  const RandomAccessFile& bytes = *part.inputs.front();
  uint64_t begin = 0;
  for (const StoredPlaces::Place& place : places.Of(bytes)) {
    uint32_t handle = place.handle;
    if (!place.is_whole()) {
      ENTROFS_ASSIGN_OR_RETURN(handle, writer.AddDerived({.name = part.name,
                                                          .function = archive::Function::kCopy,
                                                          .plain_bytes = place.size_bytes,
                                                          .input = place.handle,
                                                          .offset_bytes = place.offset_bytes,
                                                          .literal = {},
                                                          .matrix = {}}));
    }
    auto source = [&bytes, begin](uint64_t offset, MutableByteSpan out) { return bytes.ReadAt(begin + offset, out); };
    ENTROFS_RETURN_IF_ERROR(writer.AddPart(handle, source));
    begin += place.size_bytes;
  }
  return OkStatus();
}

// Shows what a function makes of stored tensors, each of which has an extent to itself.
Status AddComputedBytes(const tree::ViewPart& part, const StoredPlaces& places, ArchiveWriter& writer) {
  archive::DerivedExtent local = *part.function, stored = *part.function;
  local.matrix.codes = kCodes;
  local.matrix.scales = kScales;
  stored.matrix.codes = places.Of(*part.inputs[kCodes]).front().handle;
  stored.matrix.scales = places.Of(*part.inputs[kScales]).front().handle;
  if (part.inputs.size() > kZeroPoints) {
    local.matrix.zeros = kZeroPoints;
    stored.matrix.zeros = places.Of(*part.inputs[kZeroPoints]).front().handle;
  }
  ENTROFS_ASSIGN_OR_RETURN(const uint32_t handle, writer.AddDerived(stored));
  auto read = [&part](uint32_t input, uint64_t offset, MutableByteSpan out) {
    return part.inputs[input]->ReadAt(offset, out);
  };
  return writer.AddPart(
      handle, [&](uint64_t offset, MutableByteSpan out) { return view::DeriveFrom(local, offset, read, out); });
}

Status AddViewFile(const tree::ViewFile& file, const StoredPlaces& places, ArchiveWriter& writer) {
  ENTROFS_RETURN_IF_ERROR(writer.BeginFile(file.path, file.mode, file.mtime_ns));
  for (const tree::ViewPart& part : file.parts) {
    Status status = part.function ? AddComputedBytes(part, places, writer) : AddStoredBytes(part, places, writer);
    if (!status) return std::move(status.error()).WithContext(part.name);
  }
  return writer.EndFile();
}

}  // namespace

Status StoredPlaces::Note(const ExtentInput& input, const archive::Extent& extent,
                          const archive::ArchiveWriter& writer) {
  ENTROFS_ASSIGN_OR_RETURN(const uint32_t handle, writer.HandleOf(extent));
  if (input.literal != nullptr) {
    places_[input.literal->bytes.get()].push_back({handle, extent.plain_bytes, 0, extent.plain_bytes});
    return OkStatus();
  }
  uint64_t offset = 0;
  for (const tree::OutputTensor* tensor : input.tensors) {
    const uint64_t size = tensor->bytes->size();
    places_[tensor->bytes.get()] = {{handle, extent.plain_bytes, offset, size}};
    offset += size;
  }
  return OkStatus();
}

const std::vector<StoredPlaces::Place>& StoredPlaces::Of(const RandomAccessFile& bytes) const {
  static const std::vector<Place> kNone;
  auto found = places_.find(&bytes);
  return found == places_.end() ? kNone : found->second;
}

Status AddViews(const tree::OutputTree& tree, const StoredPlaces& places, archive::ArchiveWriter& writer) {
  ENTROFS_RETURN_IF_ERROR(writer.NameTree(tree.name, tree.default_view));
  for (const tree::ViewTree& view : tree.views) {
    ENTROFS_RETURN_IF_ERROR(writer.BeginView(view.name));
    for (const std::string& directory : view.directories) ENTROFS_RETURN_IF_ERROR(writer.AddDirectory(directory));
    for (const tree::ViewFile& file : view.files) {
      Status status = AddViewFile(file, places, writer);
      if (!status) return std::move(status.error()).WithContext(file.path);
    }
    ENTROFS_RETURN_IF_ERROR(writer.EndView());
  }
  return OkStatus();
}

}  // namespace entrofs::packer::pack
