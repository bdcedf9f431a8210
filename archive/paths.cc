#include "archive/paths.h"

#include <algorithm>

#include "archive/format.h"

namespace entrofs::archive {
namespace {

bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// True when some path of the sorted container lies below directory `path`.
bool HasBelow(const std::set<std::string>& paths, const std::string& path) {
  std::string prefix = path + "/";
  auto it = paths.lower_bound(prefix);
  return it != paths.end() && it->starts_with(prefix);
}

bool HasBelow(const std::vector<std::string_view>& paths, std::string_view path) {
  std::string prefix = std::string(path) + "/";
  auto it = std::lower_bound(paths.begin(), paths.end(), prefix);
  return it != paths.end() && it->starts_with(prefix);
}

}  // namespace

bool IsSafePath(std::string_view path) {
  if (path.empty() || path.size() > kMaxPathBytes) return false;
  if (std::any_of(path.begin(), path.end(), IsControl)) return false;
  for (;;) {
    size_t slash = path.find('/');
    std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || part.size() > kMaxPathPartBytes) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

std::string Printable(std::string_view text) {
  constexpr size_t kMaxShown = 200;
  std::string shown(text.substr(0, kMaxShown));
  std::replace_if(shown.begin(), shown.end(), IsControl, '?');
  if (text.size() > kMaxShown) shown += "...";
  return shown;
}

Status PathSet::Check(const std::string& path, bool is_directory) const {
  if (!IsSafePath(path)) {
    return Error{ErrorCode::kInvalidArgument, Printable(path) + ": not a path an archive can hold"};
  }
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    if (files_.contains(path.substr(0, slash))) {
      return Error{ErrorCode::kInvalidArgument, path.substr(0, slash) + ": both a file and a directory"};
    }
  }
  bool known_as_directory = directories_.contains(path) || HasBelow(files_, path) || HasBelow(directories_, path);
  if (is_directory ? files_.contains(path) : known_as_directory) {
    return Error{ErrorCode::kInvalidArgument, path + ": both a file and a directory"};
  }
  return OkStatus();
}

Status PathSet::AddFile(const std::string& path) {
  ENTROFS_RETURN_IF_ERROR(Check(path, false));
  if (!files_.insert(path).second) return Error{ErrorCode::kInvalidArgument, path + ": given twice"};
  return OkStatus();
}

Status PathSet::AddDirectory(const std::string& path) {
  ENTROFS_RETURN_IF_ERROR(Check(path, true));
  directories_.insert(path);
  return OkStatus();
}

std::vector<std::string> PathSet::EmptyDirectories() const {
  std::vector<std::string> empty;
  for (const std::string& path : directories_) {
    if (!HasBelow(files_, path) && !HasBelow(directories_, path)) empty.push_back(path);
  }
  return empty;
}

Status CheckTree(const std::vector<std::string_view>& files, const std::vector<std::string_view>& directories) {
  for (const auto* paths : {&files, &directories}) {
    for (std::string_view path : *paths) {
      if (!IsSafePath(path)) return Error{ErrorCode::kCorrupt, "unsafe path " + Printable(path)};
      if (HasBelow(files, path) || HasBelow(directories, path)) {
        return Error{ErrorCode::kCorrupt, Printable(path) + " is listed but also the folder of another path"};
      }
    }
    if (std::adjacent_find(paths->begin(), paths->end(), std::greater_equal<>()) != paths->end()) {
      return Error{ErrorCode::kCorrupt, "paths out of order or twice"};
    }
  }
  for (std::string_view path : directories) {
    if (std::binary_search(files.begin(), files.end(), path)) {
      return Error{ErrorCode::kCorrupt, Printable(path) + " is both a file and a directory"};
    }
  }
  return OkStatus();
}

}  // namespace entrofs::archive
