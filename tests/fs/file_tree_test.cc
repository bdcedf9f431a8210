#include "fs/file_tree.h"

#include <gtest/gtest.h>

namespace entrofs::fs {
namespace {

view::File File(const std::string& path, uint64_t size = 10, int64_t mtime_ns = 5) {
  view::File file;
  file.path = path;
  file.size_bytes = size;
  file.mtime_ns = mtime_ns;
  return file;
}

struct Listing {
  std::vector<view::File> files;
  std::vector<std::string> directories;
};

Result<FileTree> TreeOf(const Listing& listing) { return FileTree::Build(listing.files, listing.directories); }

std::vector<std::string> Names(const FileTree& tree, const Node& folder) {
  std::vector<std::string> names;
  for (InodeNumber child : folder.children) names.push_back(tree.Find(child)->name);
  return names;
}

TEST(FileTree, AnEmptyArchiveIsAnEmptyFolder) {
  auto tree = FileTree::Build({}, {});
  ASSERT_TRUE(tree.ok());
  EXPECT_TRUE(tree->root().is_folder());
  EXPECT_TRUE(tree->root().children.empty());
  EXPECT_EQ(tree->root().inode, kRootInode);
}

TEST(FileTree, PathsImplyFolders) {
  Listing index;
  index.files = {File("a.json"), File("onnx/model", 7, 9), File("onnx/q/model"), File("z")};
  auto tree = TreeOf(index);
  ASSERT_TRUE(tree.ok());
  EXPECT_EQ(Names(*tree, tree->root()), (std::vector<std::string>{"a.json", "onnx", "z"}));
  const Node* onnx = tree->FindChild(kRootInode, "onnx");
  ASSERT_NE(onnx, nullptr);
  EXPECT_TRUE(onnx->is_folder());
  EXPECT_EQ(onnx->folder_count, 1u);
  EXPECT_EQ(onnx->mtime_ns, 9);
  const Node* model = tree->FindChild(onnx->inode, "model");
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->file, 1u);
  EXPECT_EQ(model->size_bytes, 7u);
  EXPECT_EQ(model->parent, onnx->inode);
  EXPECT_EQ(tree->Find(model->inode), model);
}

TEST(FileTree, EmptyFoldersAreKept) {
  Listing index;
  index.files = {File("a/file")};
  index.directories = {"a/empty", "logs"};
  auto tree = TreeOf(index);
  ASSERT_TRUE(tree.ok());
  EXPECT_EQ(Names(*tree, tree->root()), (std::vector<std::string>{"a", "logs"}));
  EXPECT_EQ(Names(*tree, *tree->FindChild(kRootInode, "a")), (std::vector<std::string>{"empty", "file"}));
  EXPECT_EQ(tree->FindChild(kRootInode, "logs")->mtime_ns, 5) << "not 1970";
}

TEST(FileTree, UnknownNamesAndInodesAreNull) {
  Listing index;
  index.files = {File("a")};
  auto tree = TreeOf(index);
  ASSERT_TRUE(tree.ok());
  EXPECT_EQ(tree->Find(0), nullptr);
  EXPECT_EQ(tree->Find(3), nullptr);
  EXPECT_EQ(tree->FindChild(kRootInode, "b"), nullptr);
  EXPECT_EQ(tree->FindChild(tree->FindChild(kRootInode, "a")->inode, "b"), nullptr);
  EXPECT_EQ(tree->FindChild(99, "a"), nullptr);
}

TEST(FileTree, RefusesPathsThatContradictEachOther) {
  Listing twice;
  twice.files = {File("a"), File("a")};
  EXPECT_FALSE(TreeOf(twice).ok());
  Listing file_and_folder;
  file_and_folder.files = {File("a"), File("a/b")};
  auto tree = TreeOf(file_and_folder);
  ASSERT_FALSE(tree.ok());
  EXPECT_EQ(tree.error().code, ErrorCode::kCorrupt);
  Listing folder_over_file;
  folder_over_file.files = {File("a")};
  folder_over_file.directories = {"a"};
  EXPECT_FALSE(TreeOf(folder_over_file).ok());
}

}  // namespace
}  // namespace entrofs::fs
