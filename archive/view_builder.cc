#include "archive/view_builder.h"

#include <algorithm>
#include <utility>

#include "archive/index_fields.h"

namespace entrofs::archive {

void ViewBuilder::NoteStored(const Extent& extent) {
  handle_by_place_.emplace(extent.index_archive_offset, static_cast<uint32_t>(stored_.size()));
  stored_.push_back(&extents_.emplace_back(extent));
}

Result<uint32_t> ViewBuilder::HandleOf(const Extent& written) const {
  auto known = handle_by_place_.find(written.index_archive_offset);
  if (written.plain_bytes == 0 || known == handle_by_place_.end()) {
    return Error{ErrorCode::kInvalidArgument, Printable(written.name) + ": not an extent of this archive with bytes"};
  }
  return known->second;
}

Result<uint32_t> ViewBuilder::AddDerived(const DerivedExtent& derived) {
  const bool literal_fits =
      derived.function == Function::kLiteral ? derived.literal.size() == derived.plain_bytes : derived.literal.empty();
  if (!literal_fits || derived.literal.size() > kMaxLiteralBytes) {
    return Error{ErrorCode::kInvalidArgument, Printable(derived.name) + ": literal of a size that does not fit"};
  }
  if (Status status = CheckDerived(derived, stored_); !status) {
    return Error{ErrorCode::kInvalidArgument, status.error().message};
  }
  auto [begin, end] = derived_by_size_.equal_range(derived.plain_bytes);
  for (auto known = begin; known != end; ++known) {
    DerivedExtent same = derived;
    same.name = derived_[known->second].name;
    if (same == derived_[known->second]) return kDerivedHandle + known->second;
  }
  if (derived_.size() == kMaxDerivedExtents) {
    return Error{ErrorCode::kUnsupported, Printable(derived.name) + ": more derived extents than an archive can have"};
  }
  const auto number = static_cast<uint32_t>(derived_.size());
  derived_.push_back(derived);
  derived_by_size_.emplace(derived.plain_bytes, number);
  return kDerivedHandle + number;
}

Result<uint64_t> ViewBuilder::SizeOf(uint32_t handle) const {
  if (handle < stored_.size()) return stored_[handle]->plain_bytes;
  if (handle >= kDerivedHandle && handle - kDerivedHandle < derived_.size()) {
    return derived_[handle - kDerivedHandle].plain_bytes;
  }
  return Error{ErrorCode::kInvalidArgument, "view " + current_.name + ": extent that is not there"};
}

Status ViewBuilder::Begin(const std::string& name) {
  const bool is_known = std::any_of(views_.begin(), views_.end(), [&](const View& view) { return view.name == name; });
  if (!IsViewName(name) || is_known || views_.size() == kMaxViews) {
    return Error{ErrorCode::kInvalidArgument, "view " + Printable(name) + ": not a name a further view can have"};
  }
  current_ = View{.name = name, .directories = {}, .files = {}};
  paths_ = PathSet();
  current_extents_ = 0;
  return OkStatus();
}

Status ViewBuilder::AddFile(ViewFile file) {
  file.size_bytes = 0;
  current_extents_ += file.extents.size();
  if (current_extents_ > kMaxViewExtents) {
    return Error{ErrorCode::kUnsupported, file.path + ": more extents than a view can have"};
  }
  for (uint32_t handle : file.extents) {
    ENTROFS_ASSIGN_OR_RETURN(uint64_t bytes, SizeOf(handle));
    if (bytes > kMaxFileBytes - file.size_bytes) {
      return Error{ErrorCode::kInvalidArgument, file.path + ": too large"};
    }
    file.size_bytes += bytes;
  }
  current_.files.push_back(std::move(file));
  return OkStatus();
}

void ViewBuilder::End() {
  current_.directories = paths_.EmptyDirectories();
  std::sort(current_.files.begin(), current_.files.end(),
            [](const ViewFile& a, const ViewFile& b) { return a.path < b.path; });
  views_.push_back(std::move(current_));
}

void ViewBuilder::Finish(Index& index) {
  const auto stored_count = static_cast<uint32_t>(stored_.size());
  for (View& view : views_) {
    for (ViewFile& file : view.files) {
      for (uint32_t& handle : file.extents) {
        if (handle >= kDerivedHandle) handle = stored_count + (handle - kDerivedHandle);
      }
    }
  }
  std::sort(views_.begin(), views_.end(), [](const View& a, const View& b) { return a.name < b.name; });
  index.views = std::move(views_);
  index.derived = std::move(derived_);
}

}  // namespace entrofs::archive
