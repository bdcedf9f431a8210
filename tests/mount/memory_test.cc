// What mounts do to memory.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "tests/mount/mount_fixture.h"
#include "tests/support/memory_group.h"
#include "tests/support/resident_memory.h"

namespace entrofs::fs {
namespace {

using testing_support::kMeasuresMemory;
using testing_support::MemoryGroup;

// A number of /proc/PID/status, in bytes.
uint64_t StatusBytes(uint64_t pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name + ":", 0) == 0) return std::stoull(line.substr(name.size() + 1)) * 1024;
  }
  ADD_FAILURE() << "no " << name << " of " << pid;
  return 0;
}

// Reads the file from end to end; whether it is the repeated bytes, `repetitions` times. `look` is called now and then.
template <typename Look>
bool IsRepeated(const std::string& path, uint64_t repetitions, const Look& look) {
  const Bytes expected = RepeatedBytes();
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  Bytes bytes(1 << 20);
  uint64_t offset = 0;
  bool same = fd >= 0;
  for (ssize_t n; same && (n = ::read(fd, bytes.data(), bytes.size())) > 0; offset += static_cast<uint64_t>(n)) {
    same = std::memcmp(bytes.data(), expected.data() + offset % kRepeatedBytes, static_cast<size_t>(n)) == 0;
    if (offset % (64 << 20) == 0) look();
  }
  ::close(fd);
  return same && offset == repetitions * kRepeatedBytes;
}

class MemoryTest : public MountTest {
 protected:
  uint64_t WaitForStatus(const std::string& name, uint64_t value) {
    uint64_t now = 0;
    for (int i = 0; i < 1000 && (now = StatusNumber(name)) != value; ++i) ::usleep(10'000);
    return now;
  }
};

// The page cache of what a process reads is counted for that process; under sanitizers the daemon itself would not fit.
TEST_F(MemoryTest, AFileOfTwoGigabytesIsReadWithin256Megabytes) {
  std::optional<MemoryGroup> group = MemoryGroup::Make(256 << 20);
  if (!group) GTEST_SKIP() << testing_support::kNeedsMemoryGroup;
  constexpr uint64_t kRepetitions = (uint64_t{2} << 30) / kRepeatedBytes;
  ASSERT_NO_FATAL_FAILURE(WriteRepetitiveArchive(archive_, "model", kRepetitions));
  const pid_t user = ::fork();
  if (user == 0) {
    if (kMeasuresMemory && !group->Add(0)) ::_exit(2);
    if (MountAgain({"--cache-size", "1G"}).code != 0 || !group->Add(0)) ::_exit(3);
    ::_exit(IsRepeated(Path("model"), kRepetitions, [] {}) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(user, &status, 0), user);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  if (kMeasuresMemory) {
    EXPECT_LE(StatusNumber("cache_budget_bytes"), 128u << 20);
  }
  EXPECT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
}

TEST_F(MemoryTest, TheDaemonTakesLessThan32MegabytesBesidesItsCache) {
  if (!kMeasuresMemory) GTEST_SKIP() << testing_support::kNeedsPlainBuild;
  constexpr uint64_t kRepetitions = (uint64_t{1} << 30) / kRepeatedBytes;
  constexpr uint64_t kCacheBytes = 16 << 20;
  ASSERT_NO_FATAL_FAILURE(WriteRepetitiveArchive(archive_, "model", kRepetitions));
  ASSERT_EQ(MountAgain({"--cache-size", std::to_string(kCacheBytes)}).code, 0);
  const uint64_t pid = StatusNumber("pid");
  uint64_t anonymous = 0, whole = 0;
  EXPECT_TRUE(IsRepeated(Path("model"), kRepetitions, [&] {
    anonymous = std::max(anonymous, StatusBytes(pid, "RssAnon"));
    whole = std::max(whole, StatusBytes(pid, "VmRSS"));
  }));
  EXPECT_GT(anonymous, 0u);
  EXPECT_LT(anonymous, kCacheBytes + (32 << 20));
  // Mapped pages of program and archive are page cache, which the kernel takes back when it likes; still they are few.
  EXPECT_LT(whole, kCacheBytes + (64 << 20));
}

TEST_F(MemoryTest, AnArchiveInMemoryNeedsItsFileNoMore) {
  SampleFile model = ModelFile("model", 3, 1'000'000);
  for (const char* option : {"--archive-in-memory", "--archive-in-memory=lock"}) {
    ASSERT_NO_FATAL_FAILURE(WriteArchive(archive_, {model}));
    const Outcome mounted = MountAgain({option});
    if (mounted.output.find("ulimit -l") != std::string::npos)
      GTEST_SKIP() << "this user may not lock memory: run as root or raise `ulimit -l`";
    ASSERT_EQ(mounted.code, 0) << mounted.output;
    const uint64_t archive_bytes = std::filesystem::file_size(archive_);
    EXPECT_EQ(WaitForStatus("archive_memory_bytes", archive_bytes), archive_bytes);
    EXPECT_NE(RunEntrofs({"status", mount_point_.string()}).output.find("archive_in_memory"), std::string::npos);
    std::filesystem::resize_file(archive_, 0);
    EXPECT_EQ(ReadFile(Path("model")), model.Content());
    EXPECT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
  }
}

}  // namespace
}  // namespace entrofs::fs
