// What goes wrong stays where it belongs.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "tests/mount/mount_fixture.h"

namespace entrofs::fs {
namespace {

constexpr uint32_t kSegment = 128 << 10;

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC)) {}
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

class FaultTest : public MountTest {
 protected:
  // Runs the daemon as our child, so that its end can be watched. Returns once the mount answers.
  pid_t MountInForeground() {
    pid_t pid = StartEntrofs({"mount", "-f", archive_.string(), mount_point_.string()}, folder_.path() / "log");
    for (int i = 0; i < 2000 && !IsMounted(); ++i) ::usleep(5000);
    EXPECT_TRUE(IsMounted()) << Log();
    return pid;
  }

  bool IsMounted() const {
    struct stat inside;
    struct stat outside;
    return ::stat(mount_point_.c_str(), &inside) == 0 && ::stat(folder_.path().c_str(), &outside) == 0 &&
           inside.st_dev != outside.st_dev;
  }

  std::string Log() const {
    std::ostringstream text;
    text << std::ifstream(folder_.path() / "log").rdbuf();
    return text.str();
  }
};

TEST_F(FaultTest, ACorruptSegmentIsEioForItsReadsOnlyAndIsLogged) {
  SampleFile model = ModelFile("model", 2, 1'000'000, kSegment);
  WriteArchive(archive_, {model});
  FlipBit(archive_, FindStored(archive_, "model:tensor.0", 3).archive_offset + 30);
  pid_t daemon = MountInForeground();
  off_t bad = static_cast<off_t>(kModelHeaderBytes + 3 * kSegment + 5000);
  EXPECT_EQ(ErrorOfRead(Path("model"), bad), EIO);
  EXPECT_EQ(ErrorOfRead(Path("model"), bad + kSegment), 0);
  EXPECT_EQ(ErrorOfRead(Path("model"), bad - kSegment), 0);
  EXPECT_EQ(ErrorOfRead(Path("model"), bad), EIO);  // errors are not cached, nor forgotten
  EXPECT_GE(StatusNumber("read_errors"), 2u);
  for (const char* part : {"model.entro", "model:tensor.0", "segment 3"}) {
    EXPECT_NE(Log().find(part), std::string::npos) << part << " is not in: " << Log();
  }
  ::kill(daemon, SIGTERM);
  int status = 0;
  EXPECT_TRUE(WaitFor(daemon, 20, &status));
}

TEST_F(FaultTest, SigtermUnmountsAndExitsCleanly) {
  for (int signal : {SIGTERM, SIGINT}) {
    WriteArchive(archive_, {ModelFile("model", 1, 100'000, kSegment)});
    pid_t daemon = MountInForeground();
    ::kill(daemon, signal);
    int status = -1;
    ASSERT_TRUE(WaitFor(daemon, 20, &status));
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << Log();
    EXPECT_FALSE(IsMounted());
  }
}

TEST_F(FaultTest, SigtermEndsReadersInsteadOfWaitingForThem) {
  WriteArchive(archive_, {ModelFile("model", 4, 2'000'000, kSegment)});
  pid_t daemon = MountInForeground();
  std::atomic<int> running{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 4; ++t) {
    readers.emplace_back([&] {
      int fd = ::open(Path("model").c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
      ++running;
      void* buffer = std::aligned_alloc(4096, 1 << 20);
      for (off_t offset = 0; ::pread(fd, buffer, 1 << 20, offset) > 0; offset = (offset + (1 << 20)) % (4 << 20)) {
      }
      std::free(buffer);
      ::close(fd);
    });
  }
  while (running < 4) ::usleep(1000);
  ::usleep(50'000);
  ::kill(daemon, SIGTERM);
  int status = -1;
  EXPECT_TRUE(WaitFor(daemon, 5, &status));
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << Log();
  for (std::thread& reader : readers) reader.join();
}

TEST_F(FaultTest, MountingOverTheOwnDeadMountServesAgain) {
  SampleFile model = ModelFile("model", 2, 300'000, kSegment);
  WriteArchive(archive_, {model});
  for (int round = 0; round < 2; ++round) {
    pid_t daemon = MountInForeground();
    int held = ::open(Path("model").c_str(), O_RDONLY | O_CLOEXEC);
    ::kill(daemon, SIGKILL);
    int status = 0;
    ASSERT_TRUE(WaitFor(daemon, 20, &status));
    EXPECT_EQ(ErrorOfRead(Path("model"), 0), ENOTCONN);
    Outcome again = MountAgain();
    EXPECT_EQ(again.code, 0) << again.output;
    EXPECT_EQ(ReadFile(Path("model")), model.Content());
    ::close(held);
    EXPECT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
    EXPECT_FALSE(IsMounted());
  }
}

TEST_F(FaultTest, AMountInUseIsKeptAndOneThatServesIsNotCovered) {
  Mount({ModelFile("model", 1, 1000, kSegment)});
  Outcome second = MountAgain();
  EXPECT_EQ(second.code, 1);
  EXPECT_NE(second.output.find("mounted there already"), std::string::npos);
  int held = ::open(Path("model").c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 1);
  EXPECT_TRUE(IsMounted());
  EXPECT_EQ(RunEntrofs({"umount", "--lazy", mount_point_.string()}).code, 0);
  EXPECT_FALSE(IsMounted());
  ::close(held);
}

TEST_F(FaultTest, ATruncatedArchiveFailsTheReadsItLost) {
  SampleFile model = ModelFile("model", 2, 1'000'000, kSegment);
  Mount({model});
  std::filesystem::resize_file(archive_, FindStored(archive_, "model:tensor.1", 2).archive_offset);
  EXPECT_EQ(ErrorOfRead(Path("model"), static_cast<off_t>(kModelHeaderBytes + 1'000'003 + 3 * kSegment)), EIO);
  EXPECT_EQ(ErrorOfRead(Path("model"), 100'000), 0);
}

TEST_F(FaultTest, ATruncatedArchiveIsReadAgainOnceItIsRestored) {
  SampleFile model = ModelFile("model", 3, 1'000'000, kSegment);
  Mount({model});
  const Bytes stored = ReadFile(archive_.string());
  const Bytes content = model.Content();
  std::atomic<bool> ending{false};
  std::atomic<int> wrong{0}, failed{0};
  std::vector<std::thread> readers;
  for (unsigned t = 0; t < 4; ++t) {
    readers.emplace_back([&, t] {
      std::mt19937_64 random(t);
      Descriptor file(Path("model"), O_RDONLY);
      Bytes bytes(100'000);
      while (!ending) {
        (void)::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
        const size_t offset = random() % (content.size() - bytes.size());
        ssize_t n = ::pread(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (n < 0) {
          failed += errno == EIO;
        } else {
          wrong += !std::equal(bytes.begin(), bytes.begin() + n, content.begin() + static_cast<ptrdiff_t>(offset));
        }
      }
    });
  }
  ::usleep(50'000);
  std::filesystem::resize_file(archive_, 0);
  for (int i = 0; i < 4000 && failed < 10; ++i) ::usleep(5000);
  EXPECT_GE(failed, 10);
  std::ofstream(archive_, std::ios::in | std::ios::out | std::ios::binary)
      .write(reinterpret_cast<const char*>(stored.data()), static_cast<std::streamsize>(stored.size()));
  ending = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(ReadFile(Path("model")), content);
  EXPECT_GE(StatusNumber("read_errors"), 10u);
}

TEST_F(FaultTest, AnArchiveReplacedByAnotherIsServedOn) {
  SampleFile model = ModelFile("model", 2, 500'000, kSegment);
  Mount({model});
  std::filesystem::path other = folder_.path() / "other.entro";
  WriteArchive(other, {ModelFile("different", 1, 700'000, kSegment)});
  std::filesystem::rename(other, archive_);
  EXPECT_EQ(ReadFile(Path("model")), model.Content());
}

TEST_F(FaultTest, AnUnlinkedArchiveIsServedOn) {
  SampleFile model = ModelFile("model", 2, 500'000, kSegment);
  Mount({model});
  std::filesystem::remove(archive_);
  EXPECT_EQ(ReadFile(Path("model")), model.Content());
}

TEST_F(FaultTest, WhatIsNotAnArchiveIsRefusedBeforeMounting) {
  std::ofstream(archive_) << "not an archive, but long enough to hold a header and a footer: "
                          << std::string(4096, 'x');
  Outcome outcome = MountAgain();
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.output.find("model.entro"), std::string::npos);
  EXPECT_FALSE(IsMounted());
}

}  // namespace
}  // namespace entrofs::fs
