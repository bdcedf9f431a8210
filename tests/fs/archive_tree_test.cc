#include "fs/archive_tree.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "tests/fs/test_archive.h"

namespace entrofs::fs {
namespace {

constexpr uint32_t kArchiveMode = 0640;

// A tree that nobody has mounted.
class ArchiveTreeTest : public testing::Test {
 protected:
  void SetUp() override {
    const SampleFile model = ModelFile("folder/model", 2, 100'000);
    content_ = model.Content();
    const std::string path = (folder_.path() / "a.entro").string();
    WriteArchive(path, {model});
    auto file = OpenForReading(path);
    ASSERT_TRUE(file.ok());
    auto reader = archive::ArchiveReader::Open(std::move(*file), path);
    ASSERT_TRUE(reader.ok());
    auto files = VirtualFs::Create(std::move(*reader), {});
    ASSERT_TRUE(files.ok());
    files_ = std::move(*files);
    MountOptions options;
    options.archive_path = path;
    options.fill_pages = false;  // nothing is mounted that could be filled
    archive_.emplace(ServedArchive{*files_, options, {12, 34, kArchiveMode}, memory_, [] { return 77; }});
    tree_.emplace(*archive_, "fuse", "/mnt");
  }

  InodeNumber Find(InodeNumber folder, const std::string& name) const {
    const std::optional<struct stat> found = tree_->Lookup(folder, name);
    return found ? found->st_ino : 0;
  }
  InodeNumber Model() const { return Find(Find(kRootInode, "folder"), "model"); }

  TestFolder folder_;
  Bytes content_;
  std::unique_ptr<VirtualFs> files_;
  const MemoryWatch memory_{MemoryBudget(0, std::nullopt), [] { return std::nullopt; }, [](uint64_t, bool) {}};
  std::optional<ServedArchive> archive_;
  std::optional<ArchiveTree> tree_;
};

TEST_F(ArchiveTreeTest, AttributesAreTheArchivesOwn) {
  const std::optional<struct stat> info = tree_->Attributes(Model());
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->st_ino, Model());
  EXPECT_EQ(info->st_uid, 12u);
  EXPECT_EQ(info->st_gid, 34u);
  EXPECT_EQ(static_cast<size_t>(info->st_size), content_.size());
  EXPECT_TRUE(S_ISREG(info->st_mode));
  EXPECT_EQ(info->st_mode & 0777 & ~ModeMask(kArchiveMode), 0u);
  EXPECT_EQ(info->st_mode & 07, 0u) << "others may not read the archive";
  EXPECT_TRUE(S_ISDIR(tree_->Attributes(kRootInode)->st_mode));
}

TEST_F(ArchiveTreeTest, WhatIsNotThereIsNotFound) {
  EXPECT_FALSE(tree_->Lookup(kRootInode, "model").has_value());
  EXPECT_FALSE(tree_->Lookup(Model(), "x").has_value());
  EXPECT_FALSE(tree_->Attributes(12345).has_value());
}

TEST_F(ArchiveTreeTest, ReadsAnswerOnceWithAllBytes) {
  Bytes read;
  int answers = 0;
  const auto answer = [&](std::span<const ByteSpan> parts) {
    ++answers;
    for (ByteSpan part : parts) read.insert(read.end(), part.begin(), part.end());
  };
  ASSERT_TRUE(tree_->Read({Model(), 1000, content_.size(), true}, answer).ok());
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(read, Bytes(content_.begin() + 1000, content_.end()));
  EXPECT_FALSE(tree_->Read({kRootInode, 0, 10, true}, answer).ok());
  EXPECT_EQ(answers, 1) << "an error is no answer";
}

TEST_F(ArchiveTreeTest, OpensAreAnsweredAtOnceWithoutMemory) {
  int answers = 0;
  const auto answer = [&answers](std::optional<ServedTree::BackingId> backing) {
    EXPECT_FALSE(backing.has_value());
    return ++answers > 0;
  };
  tree_->Open(Model(), answer, [] { return false; });
  EXPECT_EQ(answers, 1);
}

TEST_F(ArchiveTreeTest, StatusSaysWhatIsServedAndHow) {
  const auto status = DecodeStatus(tree_->StatusText());
  ASSERT_TRUE(status.ok());
  const auto fact = [&status](const std::string& name) {
    for (const auto& [key, value] : status->facts) {
      if (key == name) return value;
    }
    return std::string();
  };
  EXPECT_EQ(fact("archive"), archive_->options.archive_path);
  EXPECT_EQ(fact("engine"), "fuse");
  EXPECT_EQ(fact("plain_files"), "/mnt");
  ASSERT_EQ(status->counters.size(), kCounterCount);
  EXPECT_EQ(status->counters[static_cast<size_t>(Counter::kArchiveMemoryBytes)].second, 77u);
}

}  // namespace
}  // namespace entrofs::fs
