// However a mount ends while many read it in every way, nobody is left waiting for ever.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <random>

#include "tests/mount/mount_fixture.h"

namespace entrofs::fs {
namespace {

constexpr size_t kPage = 4096;
constexpr int kOpsBetweenDrops = 100;

// The ways of reading. Each reads for ever, again and again from the daemon, until a read fails.
enum class Way { kTinyReads, kTinyFaults, kWindows, kDirect, kMapping };
constexpr Way kWays[] = {Way::kTinyReads, Way::kTinyFaults, Way::kWindows, Way::kDirect, Way::kMapping};

[[noreturn]] void ReadUntilItFails(const std::string& path, Way way, unsigned seed) {
  std::mt19937_64 random(seed);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | (way == Way::kDirect ? O_DIRECT : 0));
  struct stat info;
  if (fd < 0 || ::fstat(fd, &info) != 0) ::_exit(1);
  const auto size = static_cast<size_t>(info.st_size);
  const size_t step = way == Way::kTinyReads || way == Way::kTinyFaults ? kPage : 256 << 10;
  auto* buffer = static_cast<uint8_t*>(std::aligned_alloc(kPage, step));
  auto* map = static_cast<volatile uint8_t*>(::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0));
  if (way == Way::kTinyFaults) ::madvise(const_cast<uint8_t*>(map), size, MADV_RANDOM);
  if (way == Way::kTinyReads) (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
  for (;;) {
    ::madvise(const_cast<uint8_t*>(map), size, MADV_DONTNEED);
    (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    for (int i = 0; i < kOpsBetweenDrops; ++i) {
      const size_t offset = random() % (size / step) * step;
      if (way == Way::kTinyFaults || way == Way::kMapping) {
        (void)map[offset];  // SIGBUS ends us
      } else if (::pread(fd, buffer, step, static_cast<off_t>(offset)) < 0) {
        ::_exit(1);
      }
    }
  }
}

class UnkillableTest : public MountTest {
 protected:
  // Starts the daemon and two readers of every kind, and lets them run for a moment.
  void Start() {
    WriteRepetitiveArchive(archive_, "model", 2);
    daemon_ = StartEntrofs({"mount", "-f", archive_.string(), mount_point_.string()}, folder_.path() / "log");
    struct stat info;
    for (int i = 0; i < 4000 && ::stat(Path("model").c_str(), &info) != 0; ++i) ::usleep(5000);
    ASSERT_EQ(::stat(Path("model").c_str(), &info), 0);
    for (Way way : kWays) {
      for (unsigned seed : {1u, 2u}) {
        const pid_t reader = ::fork();
        if (reader == 0) ReadUntilItFails(Path("model"), way, seed);
        readers_.push_back(reader);
      }
    }
    ::usleep(300'000);
  }

  // Readers that are still there after some seconds are killed; even that fails when they wait in the kernel.
  void ExpectReadersEnd() {
    for (pid_t reader : readers_) {
      int status = 0;
      EXPECT_TRUE(WaitFor(reader, 5, &status)) << "a reader goes on";
      ::kill(reader, SIGKILL);
    }
  }

  bool DaemonEnds() {
    int status = 0;
    return WaitFor(daemon_, 5, &status);
  }

  pid_t daemon_ = -1;
  std::vector<pid_t> readers_;
};

TEST_F(UnkillableTest, SigtermEndsDaemonAndReaders) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ::kill(daemon_, SIGTERM);
  EXPECT_TRUE(DaemonEnds());
  ExpectReadersEnd();
}

TEST_F(UnkillableTest, SigkillEndsDaemonAndReadersAndMountingAgainServes) {
  for (int round = 0; round < 3; ++round) {
    readers_.clear();
    ASSERT_NO_FATAL_FAILURE(Start());
    ::kill(daemon_, SIGKILL);
    EXPECT_TRUE(DaemonEnds());
    ExpectReadersEnd();
    const Outcome again = MountAgain();
    EXPECT_EQ(again.code, 0) << again.output;
    EXPECT_EQ(ReadFile(Path("model")).size(), 2 * kRepeatedBytes);
    EXPECT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
  }
}

TEST_F(UnkillableTest, DetachedTheMountServesItsReadersAndEndsWithThem) {
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_EQ(RunEntrofs({"umount", "--lazy", mount_point_.string()}).code, 0);
  ::usleep(100'000);
  for (pid_t reader : readers_) {
    int status = 0;
    EXPECT_FALSE(WaitFor(reader, 0.01, &status)) << "a reader has failed";
    ::kill(reader, SIGKILL);
    EXPECT_TRUE(WaitFor(reader, 5, &status));
  }
  EXPECT_TRUE(DaemonEnds());
}

TEST_F(UnkillableTest, UnmountingWorksAsSoonAsTheReadersHaveGone) {
  ASSERT_NO_FATAL_FAILURE(Start());
  for (pid_t reader : readers_) ::kill(reader, SIGKILL);
  for (pid_t reader : readers_) {
    int status = 0;
    EXPECT_TRUE(WaitFor(reader, 5, &status));
  }
  EXPECT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
  EXPECT_TRUE(DaemonEnds());
}

}  // namespace
}  // namespace entrofs::fs
