#include "fs/erofs_image.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>

namespace entrofs::fs {
namespace {

constexpr uint64_t kBlock = 4096;
constexpr uint64_t kChunk = 16 << 10;
constexpr ErofsImage::Attributes kAttributes{.owner = 70000, .group = 80000, .mode_mask = 0555};

using Bytes = std::vector<uint8_t>;

view::File File(const std::string& path, uint64_t size, int64_t mtime_ns = 5, uint32_t mode = 0444) {
  view::File file;
  file.path = path;
  file.size_bytes = size;
  file.mtime_ns = mtime_ns;
  file.mode = mode;
  return file;
}

// What the byte at an offset of a file shall be.
uint8_t Content(InodeNumber inode, uint64_t offset) {
  return static_cast<uint8_t>(1 + (inode * 31 + offset * 7) % 255);
}

Bytes Materialize(const ErofsImage& image, uint64_t offset, uint64_t length) {
  Bytes bytes;
  for (const ErofsImage::Part& part : image.Cut(offset, length)) {
    for (uint64_t i = 0; i < part.size_bytes; ++i) {
      switch (part.kind) {
        case ErofsImage::Part::Kind::kMetadata:
          bytes.push_back(part.metadata[i]);
          break;
        case ErofsImage::Part::Kind::kFile:
          bytes.push_back(Content(part.inode, part.offset + i));
          break;
        case ErofsImage::Part::Kind::kZeroes:
          bytes.push_back(0);
      }
    }
  }
  return bytes;
}

// Reads images as the kernel's documentation of EROFS describes them, and shares nothing with their writer.
class ImageParser {
 public:
  struct Entry {
    uint32_t mode = 0, owner = 0, group = 0, links = 0, mtime_nsec = 0;
    int64_t mtime = 0;
    Bytes content;                 // of files
    std::vector<uint32_t> blocks;  // where its chunks begin
  };

  explicit ImageParser(Bytes image) : image_(std::move(image)) {
    EXPECT_EQ(Number(1024, 4), 0xe0f5e1e2u);
    EXPECT_EQ(Number(1024 + 12, 1), 12u);                     // blocks of 4 KiB
    EXPECT_EQ(Number(1024 + 36, 4) * kBlock, image_.size());  // all of them
    EXPECT_EQ(Number(1024 + 80, 4), 4u);                      // files in chunks, and nothing else unusual
    EXPECT_EQ(Number(1024 + 40, 4), 0u);                      // inodes are counted from the first block
    Walk(Number(1024 + 14, 2), "");
    EXPECT_EQ(Number(1024 + 16, 8), entries.size());
  }

  std::map<std::string, Entry> entries;  // by path; "" is the root

 private:
  uint64_t Number(uint64_t offset, int bytes) const {
    uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value |= static_cast<uint64_t>(image_.at(offset + i)) << (8 * i);
    return value;
  }

  void Walk(uint64_t number, const std::string& path) {
    uint64_t at = 32 * number;
    uint64_t format = Number(at, 2);
    ASSERT_EQ(format & 1, 1u) << path;  // extended inodes only
    Entry entry;
    entry.mode = static_cast<uint32_t>(Number(at + 4, 2));
    entry.owner = static_cast<uint32_t>(Number(at + 24, 4));
    entry.group = static_cast<uint32_t>(Number(at + 28, 4));
    entry.mtime = static_cast<int64_t>(Number(at + 32, 8));
    entry.mtime_nsec = static_cast<uint32_t>(Number(at + 40, 4));
    entry.links = static_cast<uint32_t>(Number(at + 44, 4));
    uint64_t size = Number(at + 8, 8);
    if (S_ISDIR(entry.mode)) {
      ASSERT_EQ(format >> 1, 0u) << path;
      entries[path] = entry;
      for (const auto& [name, child] : Folder(Number(at + 16, 4) * kBlock, size)) {
        EXPECT_TRUE(name != "." || child == number) << path;
        if (name != "." && name != "..") Walk(child, path.empty() ? name : path + "/" + name);
      }
      return;
    }
    ASSERT_EQ(format >> 1, 4u) << path;
    uint64_t chunk = kBlock << Number(at + 16, 2);
    for (uint64_t offset = 0; offset < size; offset += chunk) {
      entry.blocks.push_back(static_cast<uint32_t>(Number(at + 64 + offset / chunk * 4, 4)));
      uint64_t begin = entry.blocks.back() * kBlock;
      uint64_t end = begin + std::min(chunk, size - offset);
      entry.content.insert(entry.content.end(), image_.begin() + begin, image_.begin() + end);
      for (; end % kBlock != 0; ++end) EXPECT_EQ(image_.at(end), 0) << path;
    }
    entries[path] = entry;
  }

  // Names and inode numbers. Within a block and from block to block they must be sorted.
  std::vector<std::pair<std::string, uint64_t>> Folder(uint64_t begin, uint64_t size) {
    std::vector<std::pair<std::string, uint64_t>> all;
    for (uint64_t block = begin; block < begin + size; block += kBlock) {
      uint64_t end = std::min(kBlock, begin + size - block);
      uint64_t count = Number(block + 8, 2) / 12;
      for (uint64_t i = 0; i < count; ++i) {
        uint64_t name = Number(block + 12 * i + 8, 2);
        uint64_t next = i + 1 < count ? Number(block + 12 * (i + 1) + 8, 2) : end;
        std::string text(image_.begin() + block + name, image_.begin() + block + next);
        text.resize(std::min(text.size(), text.find('\0')));
        EXPECT_TRUE(all.empty() || all.back().first < text) << text;
        all.emplace_back(text, Number(block + 12 * i, 8));
        bool is_folder = S_ISDIR(Number(32 * all.back().second + 4, 2));
        EXPECT_EQ(Number(block + 12 * i + 10, 1), is_folder ? 2u : 1u) << text;
      }
    }
    return all;
  }

  const Bytes image_;
};

struct Listing {
  std::vector<view::File> files;
  std::vector<std::string> directories;
};

FileTree Tree(const Listing& listing) { return std::move(*FileTree::Build(listing.files, listing.directories)); }

ErofsImage Image(const FileTree& tree) {
  auto image = ErofsImage::Build(tree, kAttributes, kChunk);
  EXPECT_TRUE(image.ok());
  return std::move(*image);
}

Listing SampleIndex() {
  Listing index;
  index.files = {File("-first", 1),
                 File("a/b/c", kChunk, 1'700'000'000'123'456'789, 0440),
                 File("a/d", 3 * kChunk + 5, -1),
                 File("aligned", 2 * kChunk),
                 File("empty", 0),
                 File("z", kBlock + 1)};
  index.directories = {"nothing here"};
  return index;
}

TEST(ErofsImage, ParsesBackToTheTree) {
  FileTree tree = Tree(SampleIndex());
  ErofsImage image = Image(tree);
  EXPECT_EQ(image.size_bytes() % kBlock, 0u);
  ImageParser parsed(Materialize(image, 0, image.size_bytes()));
  std::vector<std::string> paths;
  for (const auto& [path, entry] : parsed.entries) paths.push_back(path);
  EXPECT_EQ(paths, (std::vector<std::string>{"", "-first", "a", "a/b", "a/b/c", "a/d", "aligned", "empty",
                                             "nothing here", "z"}));
  for (const char* path : {"-first", "a/b/c", "a/d", "aligned", "empty", "z"}) {
    const Node* node = &tree.root();
    for (std::string rest = path; !rest.empty();
         rest.erase(0, rest.find('/') == std::string::npos ? rest.size() : rest.find('/') + 1)) {
      node = tree.FindChild(node->inode, rest.substr(0, rest.find('/')));
    }
    const Bytes& content = parsed.entries[path].content;
    ASSERT_EQ(content.size(), node->size_bytes) << path;
    for (size_t i = 0; i < content.size(); ++i) ASSERT_EQ(content[i], Content(node->inode, i)) << path << " " << i;
  }
}

TEST(ErofsImage, AttributesAreThoseOfTheMount) {
  FileTree tree = Tree(SampleIndex());
  ErofsImage image = Image(tree);
  ImageParser parsed(Materialize(image, 0, image.size_bytes()));
  const ImageParser::Entry& c = parsed.entries["a/b/c"];
  EXPECT_EQ(c.mode, static_cast<uint32_t>(S_IFREG | 0440));
  EXPECT_EQ(c.owner, 70000u);
  EXPECT_EQ(c.group, 80000u);
  EXPECT_EQ(c.links, 1u);
  EXPECT_EQ(c.mtime, 1'700'000'000);
  EXPECT_EQ(c.mtime_nsec, 123'456'789u);
  EXPECT_EQ(parsed.entries["a/d"].mtime, -1);
  EXPECT_EQ(parsed.entries["a/d"].mtime_nsec, 999'999'999u);
  EXPECT_EQ(parsed.entries["a"].mode, static_cast<uint32_t>(S_IFDIR | 0555));
  EXPECT_EQ(parsed.entries["a"].links, 3u);
}

TEST(ErofsImage, ModesNeverExceedTheMask) {
  Listing index;
  index.files = {File("a", 1, 0, 0555)};
  FileTree tree = Tree(index);
  auto image = ErofsImage::Build(tree, {.owner = 0, .group = 0, .mode_mask = 0540}, kChunk);
  ASSERT_TRUE(image.ok());
  ImageParser parsed(Materialize(*image, 0, image->size_bytes()));
  EXPECT_EQ(parsed.entries["a"].mode, static_cast<uint32_t>(S_IFREG | 0540));
  EXPECT_EQ(parsed.entries[""].mode, static_cast<uint32_t>(S_IFDIR | 0540));
}

TEST(ErofsImage, ChunksOfAFileNeverTouch) {
  FileTree tree = Tree(SampleIndex());
  ErofsImage image = Image(tree);
  ImageParser parsed(Materialize(image, 0, image.size_bytes()));
  const std::vector<uint32_t>& blocks = parsed.entries["a/d"].blocks;
  ASSERT_EQ(blocks.size(), 4u);
  for (size_t i = 1; i < blocks.size(); ++i) EXPECT_GT((blocks[i] - blocks[i - 1]) * kBlock, kChunk);
}

TEST(ErofsImage, FoldersOfManyBlocksStaySorted) {
  Listing index;
  // Of all lengths up to the longest, and on both sides of "." and "..".
  for (int i = 0; i < 2000; ++i) {
    std::string name = std::to_string(i) + std::string(i % 252, static_cast<char>('a' + i % 26));
    index.files.push_back(File("many/" + std::string(i % 3 == 0 ? "-" : "") + name, 1));
  }
  std::sort(index.files.begin(), index.files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  FileTree tree = Tree(index);
  ErofsImage image = Image(tree);
  ImageParser parsed(Materialize(image, 0, image.size_bytes()));
  EXPECT_EQ(parsed.entries.size(), index.files.size() + 2);
  for (const view::File& file : index.files) EXPECT_TRUE(parsed.entries.count(file.path)) << file.path;
}

TEST(ErofsImage, PartsAreWhatTheWholeHolds) {
  FileTree tree = Tree(SampleIndex());
  ErofsImage image = Image(tree);
  Bytes whole = Materialize(image, 0, image.size_bytes());
  for (uint64_t offset = 0; offset < whole.size(); offset += 1777) {
    for (uint64_t length : {uint64_t{1}, kBlock, kChunk + 3}) {
      length = std::min<uint64_t>(length, whole.size() - offset);
      Bytes part = Materialize(image, offset, length);
      ASSERT_EQ(part, Bytes(whole.begin() + offset, whole.begin() + offset + length)) << offset << "+" << length;
    }
  }
}

TEST(ErofsImage, MetadataOfATerabyteIsSmall) {
  Listing index;
  for (int i = 10; i < 99; ++i) index.files.push_back(File("shard-" + std::to_string(i), 12'345'678'901));
  FileTree tree = Tree(index);
  auto image = ErofsImage::Build(tree, kAttributes, 1 << 20);
  ASSERT_TRUE(image.ok());
  EXPECT_EQ(image->Cut(0, image->size_bytes())[0].kind, ErofsImage::Part::Kind::kMetadata);
  EXPECT_LT(image->Cut(0, image->size_bytes())[0].size_bytes, 5u << 20);
}

TEST(ErofsImage, WhatErofsCannotAddressIsRefused) {
  for (uint64_t size : {uint64_t{1} << 44, uint64_t{1} << 50, ~uint64_t{0}}) {
    Listing index;
    index.files = {File("a", size), File("b", size)};
    FileTree tree = Tree(index);
    auto image = ErofsImage::Build(tree, kAttributes, 1 << 20);
    ASSERT_FALSE(image.ok());
    EXPECT_EQ(image.error().code, ErrorCode::kUnsupported);
  }
}

TEST(ErofsImage, AnEmptyArchiveIsAnEmptyFolder) {
  FileTree tree = Tree({});
  ErofsImage image = Image(tree);
  EXPECT_EQ(image.size_bytes(), 2 * kBlock);
  EXPECT_EQ(ImageParser(Materialize(image, 0, image.size_bytes())).entries.size(), 1u);
}

}  // namespace
}  // namespace entrofs::fs
