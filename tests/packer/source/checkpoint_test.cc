#include "packer/source/checkpoint.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <limits>

#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::packer::source {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::SafetensorsFile;
using testing_support::TemporaryFolder;
using testing_support::WriteFile;

std::vector<std::string> PathsOf(const Checkpoint& checkpoint) {
  std::vector<std::string> paths;
  for (const CheckpointFile& file : checkpoint.files) paths.push_back(file.path);
  return paths;
}

TEST(ListCheckpoint, WalksToTheBottomAndKeepsEmptyDirectories) {
  TemporaryFolder folder;
  WriteFile(folder.Path("b/c/deep.txt"), "x");
  WriteFile(folder.Path("a.json"), "{}");
  WriteFile(folder.Path(".hidden"), "");
  std::filesystem::create_directories(folder.Path("b/empty/inner"));
  Result<Checkpoint> checkpoint = ListCheckpoint(folder.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  EXPECT_THAT(PathsOf(*checkpoint), ElementsAre(".hidden", "a.json", "b/c/deep.txt"));
  EXPECT_THAT(checkpoint->directories, ElementsAre("b/empty/inner"));
  EXPECT_EQ(checkpoint->size_bytes(), 3u);
}

TEST(ListCheckpoint, FollowsLinksToFiles) {
  TemporaryFolder folder;
  WriteFile(folder.Path("blobs/123"), "content");
  std::filesystem::create_directories(folder.Path("snapshot"));
  std::filesystem::create_symlink("../blobs/123", folder.Path("snapshot/file.json"));
  Result<Checkpoint> checkpoint = ListCheckpoint(folder.Path("snapshot"));
  ASSERT_TRUE(checkpoint.ok());
  ASSERT_THAT(PathsOf(*checkpoint), ElementsAre("file.json"));
  EXPECT_EQ(checkpoint->files[0].file->size(), 7u);
}

std::string ListingError(const std::string& path) {
  Result<Checkpoint> checkpoint = ListCheckpoint(path);
  return checkpoint ? "" : checkpoint.error().message;
}

TEST(ListCheckpoint, RefusesWhatAnArchiveCannotHoldByName) {
  TemporaryFolder folder;
  std::filesystem::create_symlink("nowhere", folder.Path("dangling"));
  EXPECT_THAT(ListingError(folder.path()), HasSubstr("dangling: is a link that leads nowhere"));
  std::filesystem::remove(folder.Path("dangling"));

  TemporaryFolder elsewhere;
  std::filesystem::create_symlink(elsewhere.path(), folder.Path("link"));
  EXPECT_THAT(ListingError(folder.path()), HasSubstr("link: is a link to a directory"));
  std::filesystem::remove(folder.Path("link"));

  ASSERT_EQ(::mkfifo(folder.Path("pipe").c_str(), 0600), 0);
  EXPECT_THAT(ListingError(folder.path()), HasSubstr("pipe: is not a file or directory"));
  std::filesystem::remove(folder.Path("pipe"));

  WriteFile(folder.Path("line\nbreak"), "");
  EXPECT_THAT(ListingError(folder.path()), HasSubstr("cannot hold a file of this name"));
  EXPECT_THAT(ListingError(folder.Path("missing")), HasSubstr("No such file"));
}

TEST(ListCheckpoint, SeesALinkThatPointsToItselfAsAnError) {
  TemporaryFolder folder;
  std::filesystem::create_symlink("loop", folder.Path("loop"));
  EXPECT_THAT(ListingError(folder.path()), HasSubstr("loop"));
}

TEST(OpenCheckpoint, ReadsHeadersOfSafetensorsFilesOnly) {
  TemporaryFolder folder;
  WriteFile(folder.Path("sub/model.safetensors"), SafetensorsFile({{"t", Dtype::kU8, {3}, "abc"}}));
  WriteFile(folder.Path("other.bin"), "not a header");
  Result<Checkpoint> checkpoint = OpenCheckpoint(folder.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  EXPECT_FALSE(checkpoint->files[0].header.has_value());
  ASSERT_TRUE(checkpoint->files[1].header.has_value());
  EXPECT_EQ(checkpoint->files[1].header->tensors[0].name, "t");
}

TEST(OpenCheckpoint, OfASafetensorsFileHoldsItAlone) {
  TemporaryFolder folder;
  WriteFile(folder.Path("a.safetensors"), SafetensorsFile({}));
  WriteFile(folder.Path("b.txt"), "");
  Result<Checkpoint> checkpoint = OpenCheckpoint(folder.Path("a.safetensors"));
  ASSERT_TRUE(checkpoint.ok());
  EXPECT_THAT(PathsOf(*checkpoint), ElementsAre("a.safetensors"));
  EXPECT_THAT(OpenCheckpoint(folder.Path("b.txt")).error().message,
              HasSubstr("neither a directory nor a .safetensors"));
}

TEST(OpenCheckpoint, NamesFileAndTensorThatAreBroken) {
  TemporaryFolder folder;
  std::string content = SafetensorsFile({{"layer.weight", Dtype::kU8, {3}, "abc"}});
  WriteFile(folder.Path("bad.safetensors"), content.substr(0, content.size() - 1));
  std::string message = OpenCheckpoint(folder.path()).error().message;
  EXPECT_THAT(message, HasSubstr("bad.safetensors"));
  EXPECT_THAT(message, HasSubstr("layer.weight"));
}

// A folder with one good file, and `name` of `content`.
Result<Checkpoint> OpenBesideGoodFile(const TemporaryFolder& folder, const std::string& name,
                                      const std::string& content) {
  WriteFile(folder.Path("good.safetensors"), SafetensorsFile({{"t", Dtype::kU8, {3}, "abc"}}));
  WriteFile(folder.Path(name), content);
  return OpenCheckpoint(folder.path());
}

std::string HeaderOfDtype(const std::string& dtype) {
  const std::string json = R"({"t":{"dtype":")" + dtype + R"(","shape":[3],"data_offsets":[0,3]}})";
  return std::string(1, static_cast<char>(json.size())) + std::string(7, '\0') + json + "abc";
}

constexpr char kLfsPointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 34\n";

TEST(OpenCheckpoint, PacksABadFileBesideGoodOnesLikeAnyOther) {
  for (const std::string& content :
       {std::string(), std::string("short"), std::string(100, '\xff'), HeaderOfDtype("F2_TOMORROW"),
        HeaderOfDtype("U8") + "more", std::string(kLfsPointer)}) {
    for (const char* name : {"bad.safetensors", "bad.gguf", "sub/BAD.SAFETENSORS"}) {
      TemporaryFolder folder;
      Result<Checkpoint> checkpoint = OpenBesideGoodFile(folder, name, content);
      ASSERT_TRUE(checkpoint.ok()) << name << checkpoint.error().message;
      EXPECT_EQ(checkpoint->files.size(), 2u);
      for (const CheckpointFile& file : checkpoint->files) {
        EXPECT_EQ(file.header || file.gguf, file.path == "good.safetensors");
      }
      ASSERT_EQ(checkpoint->warnings.size(), 1u);
      EXPECT_THAT(checkpoint->warnings[0], HasSubstr(name));
      EXPECT_THAT(checkpoint->warnings[0], HasSubstr("packed like any other file"));
    }
  }
}

TEST(OpenCheckpoint, NeedsNoDtypesButAModel) {
  TemporaryFolder folder;
  WriteFile(folder.Path("m.safetensors"), HeaderOfDtype("F2_TOMORROW"));
  EXPECT_TRUE(OpenCheckpoint(folder.path()).ok());
  EXPECT_TRUE(OpenCheckpoint(folder.Path("m.safetensors")).ok());
  WriteFile(folder.Path("m.safetensors"), HeaderOfDtype("U8") + "more");
  EXPECT_FALSE(OpenCheckpoint(folder.path()).ok());
  EXPECT_FALSE(OpenCheckpoint(folder.Path("m.safetensors")).ok());
}

TEST(OpenCheckpoint, SaysHowToGetWhatAnLfsPointerStandsFor) {
  TemporaryFolder folder;
  WriteFile(folder.Path("model.safetensors"), kLfsPointer);
  EXPECT_THAT(OpenCheckpoint(folder.path()).error().message, HasSubstr("run 'git lfs pull'"));
  EXPECT_THAT(OpenCheckpoint(folder.Path("model.safetensors")).error().message, HasSubstr("run 'git lfs pull'"));
  TemporaryFolder other;
  Result<Checkpoint> checkpoint = OpenBesideGoodFile(other, "tokenizer.model", kLfsPointer);
  ASSERT_TRUE(checkpoint.ok());
  EXPECT_THAT(checkpoint->warnings, ElementsAre(HasSubstr("tokenizer.model: is a Git LFS pointer")));
}

TEST(OpenCheckpoint, LeavesOutWhatOtherProgramsLeftAndSaysSo) {
  TemporaryFolder folder;
  WriteFile(folder.Path(".git/objects/pack"), "x");
  WriteFile(folder.Path("sub/._model.safetensors"), "x");
  WriteFile(folder.Path(".gitattributes"), "x");
  Result<Checkpoint> checkpoint = OpenBesideGoodFile(folder, "sub/.DS_Store", "x");
  ASSERT_TRUE(checkpoint.ok());
  EXPECT_THAT(PathsOf(*checkpoint), ElementsAre(".gitattributes", "good.safetensors"));
  EXPECT_THAT(checkpoint->warnings, ElementsAre("left out: .git, sub/.DS_Store, sub/._model.safetensors"));
}

TEST(OpenCheckpoint, TellsWhenPartsAreMissing) {
  TemporaryFolder folder;
  Result<Checkpoint> checkpoint = OpenBesideGoodFile(folder, "m-00001-of-00002.safetensors", SafetensorsFile({}));
  ASSERT_TRUE(checkpoint.ok());
  EXPECT_THAT(checkpoint->warnings, ElementsAre(HasSubstr("1 of 2 parts")));
}

TEST(ListCheckpoint, PointsToTheSnapshotOfAHubCache) {
  TemporaryFolder folder;
  for (const char* name : {"blobs", "refs", "snapshots/1234"}) std::filesystem::create_directories(folder.Path(name));
  EXPECT_THAT(ListingError(folder.path()), HasSubstr("snapshots/1234"));
  EXPECT_EQ(ListingError(folder.Path("snapshots/1234")), "");
}

TEST(SourceFile, HasTheNearestTimeThatAnArchiveKeeps) {
  TemporaryFolder folder;
  WriteFile(folder.Path("f"), "");
  constexpr int64_t kSecond = 1'000'000'000;
  for (int64_t seconds : {int64_t{-20'000'000'000}, int64_t{-1}, int64_t{20'000'000'000}}) {
    const timespec times[2] = {{0, UTIME_OMIT}, {seconds, 5}};
    ASSERT_EQ(::utimensat(AT_FDCWD, folder.Path("f").c_str(), times, 0), 0);
    struct stat kept;
    ASSERT_EQ(::stat(folder.Path("f").c_str(), &kept), 0);  // the file system may have moved it already
    Result<FileIdentity> identity = IdentityOf(folder.Path("f"));
    ASSERT_TRUE(identity.ok());
    const bool fits = std::abs(kept.st_mtim.tv_sec) < std::numeric_limits<int64_t>::max() / kSecond;
    const int64_t limit = seconds < 0 ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
    EXPECT_EQ(identity->mtime_ns, fits ? kept.st_mtim.tv_sec * kSecond + kept.st_mtim.tv_nsec : limit) << seconds;
  }
}

TEST(SourceFile, NoticesThatItWasReplaced) {
  TemporaryFolder folder;
  WriteFile(folder.Path("f"), "before");
  Result<Checkpoint> checkpoint = ListCheckpoint(folder.path());
  ASSERT_TRUE(checkpoint.ok());
  const SourceFile& file = *checkpoint->files[0].file;
  EXPECT_TRUE(file.CheckUnchanged().ok());
  WriteFile(folder.Path("f"), "longer than before");
  EXPECT_THAT(file.CheckUnchanged().error().message, HasSubstr("was changed"));
  uint8_t byte;
  EXPECT_FALSE(file.ReadAt(0, {&byte, 1}).ok());
}

TEST(SourceFile, ManyFilesNeedFewDescriptors) {
  TemporaryFolder folder;
  for (int i = 0; i < 300; ++i) WriteFile(folder.Path("f" + std::to_string(i)), std::to_string(i));
  Result<Checkpoint> checkpoint = ListCheckpoint(folder.path());
  ASSERT_TRUE(checkpoint.ok());
  for (const CheckpointFile& file : checkpoint->files) {
    std::vector<uint8_t> content(file.file->size());
    ASSERT_TRUE(file.file->ReadAt(0, content).ok());
    EXPECT_EQ("f" + std::string(content.begin(), content.end()), file.path);
  }
  size_t open = static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
  EXPECT_LT(open, 120u);
}

}  // namespace
}  // namespace entrofs::packer::source
