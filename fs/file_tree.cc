#include "fs/file_tree.h"

#include <algorithm>
#include <utility>

namespace entrofs::fs {
namespace {

// "a/b/c" -> {"a/b", "c"}
std::pair<std::string_view, std::string_view> SplitPath(std::string_view path) {
  size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {{}, path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

Error Conflict(std::string_view path) {
  return Error{ErrorCode::kCorrupt, std::string(path) + ": two entries of this path"};
}

}  // namespace

Result<FileTree> FileTree::Build(std::span<const view::File> files, std::span<const std::string> directories) {
  FileTree tree;
  tree.nodes_.emplace_back();
  for (size_t i = 0; i < files.size(); ++i) {
    const view::File& file = files[i];
    auto [folder, name] = SplitPath(file.path);
    ENTROFS_ASSIGN_OR_RETURN(InodeNumber parent, tree.AddFolders(folder, file.mtime_ns));
    if (tree.FindChild(parent, name) != nullptr) return Conflict(file.path);
    Node& node = tree.nodes_[tree.AddNode(parent, name, i) - 1];
    node.mode = file.mode & 0555;
    node.mtime_ns = file.mtime_ns;
    node.size_bytes = file.size_bytes;
  }
  // Archives keep no times of empty folders: they get the latest of all.
  for (const std::string& path : directories) {
    ENTROFS_RETURN_IF_ERROR(tree.AddFolders(path, tree.nodes_[kRootInode - 1].mtime_ns));
  }
  return tree;
}

const Node* FileTree::Find(InodeNumber inode) const {
  return inode == 0 || inode > nodes_.size() ? nullptr : &nodes_[inode - 1];
}

const Node* FileTree::FindChild(InodeNumber folder, std::string_view name) const {
  const Node* node = Find(folder);
  if (node == nullptr) return nullptr;
  auto at = std::lower_bound(node->children.begin(), node->children.end(), name,
                             [this](InodeNumber child, std::string_view n) { return nodes_[child - 1].name < n; });
  if (at == node->children.end() || nodes_[*at - 1].name != name) return nullptr;
  return &nodes_[*at - 1];
}

Result<InodeNumber> FileTree::AddFolders(std::string_view path, int64_t mtime_ns) {
  InodeNumber folder = kRootInode;
  for (std::string_view rest = path;;) {
    Node& node = nodes_[folder - 1];
    node.mtime_ns = std::max(node.mtime_ns, mtime_ns);
    if (rest.empty()) return folder;
    std::string_view name = rest.substr(0, rest.find('/'));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    const Node* child = FindChild(folder, name);
    if (child != nullptr && !child->is_folder()) return Conflict(path);
    folder = child != nullptr ? child->inode : AddNode(folder, name, Node::kNoFile);
  }
}

InodeNumber FileTree::AddNode(InodeNumber parent, std::string_view name, size_t file) {
  InodeNumber inode = nodes_.size() + 1;
  Node& node = nodes_.emplace_back();
  node.name = name;
  node.inode = inode;
  node.parent = parent;
  node.file = file;
  Node& folder = nodes_[parent - 1];
  // Files are sorted by path, so this is nearly always the end.
  auto at = std::lower_bound(folder.children.begin(), folder.children.end(), name,
                             [this](InodeNumber child, std::string_view n) { return nodes_[child - 1].name < n; });
  folder.children.insert(at, inode);
  if (file == Node::kNoFile) ++folder.folder_count;
  return inode;
}

}  // namespace entrofs::fs
