#include "packer/read/extract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "packer/pack/pack.h"
#include "packer/read/temporary_directory.h"
#include "packer/read/verify.h"
#include "tests/support/craft_archive.h"
#include "tests/support/sample_archive.h"
#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::packer::read {
namespace {

using testing::HasSubstr;
using testing_support::Difference;
using testing_support::ReadFile;
using testing_support::TemporaryFolder;
using testing_support::WriteFile;
using testing_support::WriteLlama;

class ExtractTest : public testing::Test {
 protected:
  void SetUp() override {
    WriteLlama(source_, source::Dtype::kBf16, false);
    std::filesystem::permissions(source_ + "/tokenizer.json", std::filesystem::perms(0640));
    Result<source::Checkpoint> checkpoint = source::OpenCheckpoint(source_);
    ASSERT_TRUE(checkpoint.ok());
    ASSERT_TRUE(pack::Pack(tree::LosslessTree(*checkpoint), archive_, {}, pool_, progress_).ok());
  }

  Status ExtractTo(const std::string& target) {
    ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<archive::ArchiveReader> reader, OpenArchive(archive_));
    return Extract(**view::ViewReader::Open(*reader, ""), target, pool_, progress_);
  }

  TemporaryFolder folder_;
  const std::string source_ = folder_.Path("source");
  const std::string archive_ = folder_.Path("a.entro");
  ThreadPool pool_{2};
  NoProgress progress_;
};

TEST_F(ExtractTest, KeepsContentModesAndTimes) {
  const std::string target = folder_.Path("target");
  Status status = ExtractTo(target);
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(Difference(source_, target), "");
  struct stat before, after;
  ASSERT_EQ(::stat((source_ + "/tokenizer.json").c_str(), &before), 0);
  ASSERT_EQ(::stat((target + "/tokenizer.json").c_str(), &after), 0);
  EXPECT_EQ(after.st_mode & 0777, 0440u);
  EXPECT_EQ(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
  EXPECT_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
}

TEST_F(ExtractTest, TakesAnEmptyDirectoryOrATrailingSlash) {
  const std::string target = folder_.Path("target");
  std::filesystem::create_directory(target);
  EXPECT_TRUE(ExtractTo(target + "//").ok());
  EXPECT_EQ(Difference(source_, target), "");
}

TEST_F(ExtractTest, RefusesTargetsThatHoldSomething) {
  WriteFile(folder_.Path("full/file"), "kept");
  EXPECT_THAT(ExtractTo(folder_.Path("full")).error().message, HasSubstr("exists and is not empty"));
  EXPECT_EQ(ReadFile(folder_.Path("full/file")), "kept");
  EXPECT_THAT(ExtractTo(archive_).error().message, HasSubstr("is not a directory"));
  EXPECT_FALSE(ExtractTo(folder_.Path("missing/target")).ok());
}

TEST_F(ExtractTest, LeavesNothingOfABrokenArchive) {
  std::string bytes = ReadFile(archive_);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  WriteFile(archive_, bytes);
  const size_t before = folder_.FileCount();
  Status status = ExtractTo(folder_.Path("target"));
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("model.safetensors"));
  EXPECT_EQ(folder_.FileCount(), before);
}

TEST_F(ExtractTest, LeavesNothingOfFilesThatAreNotWhatTheirHashSays) {
  const std::string sound = ReadFile(archive_);
  archive::Index index = (*OpenArchive(archive_))->index();
  index.files[1].hash[0] ^= 1;  // every checksum of a segment is right
  const testing_support::Bytes bytes(sound.begin(), sound.end());
  WriteFile(archive_, std::string(AsText(testing_support::WithIndex(bytes, index))));
  const size_t before = folder_.FileCount();
  Status status = ExtractTo(folder_.Path("target"));
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("does not match the hash in the index"));
  EXPECT_EQ(folder_.FileCount(), before);
}

TEST_F(ExtractTest, RefusesArchivesWhosePathsLeadElsewhere) {
  const testing_support::Bytes archive = testing_support::Pack(testing_support::MixedSample(1));
  auto reader = testing_support::Open(archive);
  ASSERT_TRUE(reader.ok());
  for (const char* path : {"../escaped", "/tmp/escaped", "a/../../escaped", ".", "", "a//b", "a\nb"}) {
    archive::Index index = (*reader)->index();
    index.files[0].path = path;
    const testing_support::Bytes hostile = testing_support::WithIndex(archive, index);
    WriteFile(folder_.Path("hostile.entro"), std::string(AsText(hostile)));
    const size_t before = folder_.FileCount();
    auto opened = OpenArchive(folder_.Path("hostile.entro"));
    ASSERT_FALSE(opened.ok()) << path;
    EXPECT_THAT(opened.error().message, HasSubstr("unsafe path"));
    EXPECT_EQ(folder_.FileCount(), before);
  }
}

TEST(TemporaryDirectory, GoesWithAllInItUnlessCommitted) {
  TemporaryFolder folder;
  {
    auto directory = TemporaryDirectory::Create(folder.Path("d"));
    ASSERT_TRUE(directory.ok());
    WriteFile((*directory)->path() + "/a/b", "x");
    EXPECT_EQ(folder.FileCount(), 1u);
  }
  EXPECT_EQ(folder.FileCount(), 0u);
}

TEST(TemporaryDirectory, KeepsOthersOutUntilItHasItsNameAndItsOrdinaryMode) {
  TemporaryFolder folder;
  const mode_t before = ::umask(0022);
  auto directory = TemporaryDirectory::Create(folder.Path("d"));
  ASSERT_TRUE(directory.ok());
  auto mode_of = [](const std::filesystem::path& path) {
    return static_cast<unsigned>(std::filesystem::status(path).permissions());
  };
  EXPECT_EQ(mode_of(std::filesystem::path((*directory)->path()).parent_path()), 0700u);
  ASSERT_TRUE((*directory)->Commit().ok());
  EXPECT_EQ(mode_of(folder.Path("d")), 0755u);
  EXPECT_EQ(folder.FileCount(), 1u);
  ::umask(before);
}

}  // namespace
}  // namespace entrofs::packer::read
