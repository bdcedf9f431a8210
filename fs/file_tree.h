#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "view/view_reader.h"

namespace entrofs::fs {

// Numbers of files and folders, from 1. Stable for the life of a mount, and the same in every mount of an archive.
using InodeNumber = uint64_t;
inline constexpr InodeNumber kRootInode = 1;

// A file or folder.
struct Node {
  static constexpr size_t kNoFile = SIZE_MAX;

  std::string name;  // within its folder; empty for the root
  InodeNumber inode = kRootInode;
  InodeNumber parent = kRootInode;
  size_t file = kNoFile;  // place among the files of the view; kNoFile for folders
  uint32_t mode = 0555;   // permission bits
  int64_t mtime_ns = 0;   // of a folder: the latest of what it holds
  uint64_t size_bytes = 0;
  std::vector<InodeNumber> children;  // sorted by name
  uint32_t folder_count = 0;          // children that are folders

  bool is_folder() const { return file == kNoFile; }
};

// The folders and files of a view; folders are implied by paths. Immutable, so thread-safe.
class FileTree {
 public:
  // kCorrupt when a path is both a file and a folder, or is there twice.
  static Result<FileTree> Build(std::span<const view::File> files, std::span<const std::string> directories);

  // Null when there is no such inode.
  const Node* Find(InodeNumber inode) const;
  // The child of that name, or null. Null too when `folder` is not a folder.
  const Node* FindChild(InodeNumber folder, std::string_view name) const;
  const Node& root() const { return nodes_.front(); }
  size_t size() const { return nodes_.size(); }

 private:
  FileTree() = default;
  Result<InodeNumber> AddFolders(std::string_view path, int64_t mtime_ns);
  InodeNumber AddNode(InodeNumber parent, std::string_view name, size_t file);

  std::vector<Node> nodes_;  // inode - 1
};

}  // namespace entrofs::fs
