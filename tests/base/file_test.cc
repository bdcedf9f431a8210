#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

namespace entrofs {
namespace {

class FileTest : public testing::Test {
 protected:
  FileTest() : folder_(std::filesystem::temp_directory_path() / ("entrofs-file-test." + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~FileTest() override { std::filesystem::remove_all(folder_); }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  size_t FileCount() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }
  std::filesystem::path folder_;
};

TEST_F(FileTest, AccessIsOfWhatWasOpenedNotOfWhatThePathLeadsTo) {
  for (const char* name : {"mine", "other"}) {
    auto made = CreateFile(Path(name));
    ASSERT_TRUE(made.ok() && (*made)->Commit().ok());
  }
  ASSERT_EQ(::chmod(Path("mine").c_str(), 0440), 0);
  ASSERT_EQ(::chmod(Path("other").c_str(), 0644), 0);
  auto file = OpenForReading(Path("mine"));
  ASSERT_TRUE(file.ok());
  std::filesystem::rename(Path("other"), Path("mine"));
  EXPECT_EQ((*file)->access().mode, 0440u);
  EXPECT_EQ((*file)->access().owner, ::geteuid());
}

TEST_F(FileTest, CommitMakesTheWholeFileAppear) {
  auto file = CreateFile(Path("a"));
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Append(AsBytes("hello ")).ok());
  std::vector<uint8_t> large(3 << 20, 'x');
  ASSERT_TRUE((*file)->Append(large).ok());
  EXPECT_FALSE(std::filesystem::exists(Path("a")));
  ASSERT_TRUE((*file)->Commit().ok());
  auto text = ReadWholeFile(Path("a"), 1 << 30);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, "hello " + std::string(large.begin(), large.end()));
  EXPECT_EQ((*file)->size(), text->size());
  EXPECT_EQ(FileCount(), 1u);
}

TEST_F(FileTest, DestructionWithoutCommitLeavesNothing) {
  {
    auto file = CreateFile(Path("a"));
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->Append(AsBytes("hello")).ok());
    ASSERT_TRUE((*file)->Flush().ok());
    EXPECT_EQ(FileCount(), 1u);
  }
  EXPECT_EQ(FileCount(), 0u);
}

TEST_F(FileTest, SignalHandlerCanRemoveUncommittedFiles) {
  pid_t child = ::fork();
  if (child == 0) {
    auto file = CreateFile(Path("a"));
    RemoveUncommittedFiles();
    ::_exit(file.ok() ? 0 : 1);  // no destructor runs
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(FileCount(), 0u);
}

TEST_F(FileTest, TheUmaskHoldsForNewFiles) {
  const mode_t before = ::umask(0027);
  auto file = CreateFile(Path("a"));
  ::umask(before);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Commit().ok());
  struct stat info = {};
  ASSERT_EQ(::stat(Path("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST_F(FileTest, DescriptorsAreNotInherited) {
  auto written = CreateFile(Path("a"));
  ASSERT_TRUE(written.ok());
  ASSERT_TRUE((*written)->Append(AsBytes("x")).ok());
  ASSERT_TRUE((*written)->Flush().ok());
  auto read = OpenForReading((*written)->temporary_path());
  ASSERT_TRUE(read.ok());
  size_t ours = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone) != (*written)->temporary_path()) continue;
    ++ours;
    EXPECT_NE(::fcntl(std::stoi(entry.path().filename().string()), F_GETFD) & FD_CLOEXEC, 0);
  }
  EXPECT_EQ(ours, 2u);
}

TEST_F(FileTest, APipeOrDeviceInThePlaceOfAFileIsRefusedNotWaitedFor) {
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  auto pipe = OpenForReading(Path("pipe"));
  ASSERT_FALSE(pipe.ok());
  EXPECT_EQ(pipe.error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(OpenForReading("/dev/null").ok());
}

TEST_F(FileTest, ATemporaryFileIsNeverMadeThroughALink) {
  // Names are random, so nobody can put a link there beforehand; those there are no file of ours.
  EXPECT_NE(TemporaryName(Path("a")), TemporaryName(Path("a")));
  EXPECT_TRUE(TemporaryName(Path("a")).starts_with(Path("a.")));
}

TEST_F(FileTest, ReadsPastTheEndAreCorruptNotShort) {
  auto file = CreateFile(Path("a"));
  ASSERT_TRUE((*file)->Append(AsBytes("hello")).ok());
  ASSERT_TRUE((*file)->Commit().ok());
  auto in = OpenForReading(Path("a"));
  ASSERT_TRUE(in.ok());
  std::vector<uint8_t> out(4);
  EXPECT_TRUE((*in)->ReadAt(1, out).ok());
  EXPECT_EQ(AsText(out), "ello");
  Status status = (*in)->ReadAt(2, out);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
}

TEST_F(FileTest, ErrorsNameTheFile) {
  auto missing = OpenForReading(Path("missing"));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().message.find(Path("missing")), std::string::npos);
  EXPECT_FALSE(OpenForReading(folder_.string()).ok());
  EXPECT_FALSE(CreateFile(Path("no/such/folder")).ok());
}

}  // namespace
}  // namespace entrofs
