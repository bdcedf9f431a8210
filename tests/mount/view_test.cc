// Views of an archive, mounted: every engine shows the bytes that ViewReader reads.

#include <gmock/gmock.h>

#include <filesystem>

#include "archive/archive_reader.h"
#include "base/file.h"
#include "tests/mount/mount_fixture.h"
#include "view/view_reader.h"

namespace entrofs::fs {
namespace {

class ViewMountTest : public MountTest {
 protected:
  void SetUp() override {
    MountTest::SetUp();
    std::filesystem::copy_file(std::filesystem::path(ENTROFS_SOURCE_DIR) / "tests/golden/v1-views.entro", archive_);
    reader_ = std::move(*archive::ArchiveReader::Open(std::move(*OpenForReading(archive_.string())), "golden"));
  }

  void ExpectMountShows(const std::string& name) {
    auto view = view::ViewReader::Open(*reader_, name);
    ASSERT_TRUE(view.ok()) << view.error().message;
    ASSERT_FALSE((*view)->files().empty());
    view::ViewReader::Scratch scratch;
    for (const view::File& file : (*view)->files()) {
      Bytes expected(file.size_bytes);
      ASSERT_TRUE((*view)->ReadRange(file, 0, scratch, expected).ok());
      EXPECT_EQ(ReadFile(Path(file.path)), expected) << name << " " << file.path;
    }
  }

  std::unique_ptr<archive::ArchiveReader> reader_;
};

TEST_F(ViewMountTest, EveryEngineShowsEveryView) {
  const std::vector<std::string> names = view::ViewNames(reader_->index());
  ASSERT_GT(names.size(), 1u);
  for (const char* engine : {"fuse", "erofs", "memory"}) {
    for (const std::string& name : names) {
      const Outcome mounted = MountAgain({"--engine", engine, "--view", name});
      if (mounted.code != 0 && std::string(engine) != "fuse") continue;  // not on this machine, or not for this user
      ASSERT_EQ(mounted.code, 0) << mounted.output;
      ExpectMountShows(name);
      EXPECT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
    }
  }
}

TEST_F(ViewMountTest, WithoutANameTheDefaultViewIsShown) {
  ASSERT_EQ(MountAgain({"-o", "ro"}).code, 0);
  ExpectMountShows("");
}

TEST_F(ViewMountTest, OneArchiveIsMountedInSeveralViewsAtOnce) {
  const std::vector<std::string> names = view::ViewNames(reader_->index());
  ASSERT_EQ(MountAgain({"--view", names[0]}).code, 0);
  const std::filesystem::path second = folder_.path() / "second";
  std::filesystem::create_directory(second);
  ASSERT_EQ(RunEntrofs({"mount", archive_.string(), second.string(), "-o", "view=" + names[1]}).code, 0);
  ExpectMountShows(names[0]);
  EXPECT_EQ(RunEntrofs({"umount", second.string()}).code, 0);
}

TEST_F(ViewMountTest, AnUnknownViewIsRefusedWithTheNamesThereAre) {
  const Outcome outcome = MountAgain({"--view", "nobodys"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.output, testing::HasSubstr("has no view 'nobodys': it has "));
}

}  // namespace
}  // namespace entrofs::fs
