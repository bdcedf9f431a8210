// The engine memory: files decoded whole into memory that the kernel reads by itself. What every way of reading sees is
// in reading_test.cc, for both engines.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <thread>

#include "fs/mount_table.h"
#include "tests/mount/mount_fixture.h"

namespace entrofs::fs {
namespace {

constexpr uint32_t kSegment = 128 << 10;

class MemoryEngineTest : public MountTest {
 protected:
  // About 4 MB.
  const SampleFile model_ = ModelFile("model", 5, 800'000, kSegment);
  const Bytes content_ = model_.Content();

  void MountModel(const std::vector<std::string>& more_args = {}) {
    ASSERT_NO_FATAL_FAILURE(WriteArchive(archive_, {model_, ModelFile("small", 1, 100)}));
    MountWithEngine("memory", more_args);
  }
  pid_t DaemonPid() { return static_cast<pid_t>(StatusNumber("pid")); }
  static bool IsRunning(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string number, name, state;
    return file >> number >> name >> state && state != "Z";
  }
  static bool EndsSoon(pid_t pid) {
    for (int i = 0; i < 2000 && IsRunning(pid); ++i) ::usleep(5000);
    return !IsRunning(pid);
  }
  uint8_t* Map(int flags = MAP_SHARED) const {
    int fd = ::open(Path("model").c_str(), O_RDONLY | O_CLOEXEC);
    void* at = ::mmap(nullptr, content_.size(), PROT_READ, flags, fd, 0);
    ::close(fd);
    return at == MAP_FAILED ? nullptr : static_cast<uint8_t*>(at);
  }
  bool Equals(const uint8_t* bytes) const { return std::memcmp(bytes, content_.data(), content_.size()) == 0; }
};

TEST_F(MemoryEngineTest, TheDaemonDecodesOnceAndIsAskedForNoReads) {
  ASSERT_NO_FATAL_FAILURE(MountModel());
  if (IsSkipped()) return;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ReadFile(Path("model")), content_);
  EXPECT_EQ(StatusNumber("reads"), 0u);
  EXPECT_EQ(StatusNumber("decoded_bytes"), content_.size());
  EXPECT_EQ(StatusNumber("decoded_memory_bytes"), content_.size());
  EXPECT_EQ(ReadFile(Path("small")), ModelFile("small", 1, 100).Content());
  EXPECT_EQ(StatusNumber("decoded_memory_bytes"), content_.size());
  Outcome status = RunEntrofs({"status", mount_point_.string()});
  EXPECT_NE(status.output.find("memory\n"), std::string::npos) << status.output;
}

TEST_F(MemoryEngineTest, ProcessesThatOpenTogetherShareIt) {
  ASSERT_NO_FATAL_FAILURE(MountModel());
  if (IsSkipped()) return;
  std::vector<pid_t> readers;
  for (int i = 0; i < 8; ++i) {
    pid_t pid = ::fork();
    if (pid == 0) {
      uint8_t* bytes = Map();
      ::_exit(bytes != nullptr && Equals(bytes) ? 0 : 1);
    }
    readers.push_back(pid);
  }
  for (pid_t pid : readers) {
    int status = 1;
    EXPECT_TRUE(WaitFor(pid, 60, &status));
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(StatusNumber("decoded_bytes"), content_.size());
}

TEST_F(MemoryEngineTest, ACorruptSegmentIsEioForItsReadsOnly) {
  ASSERT_NO_FATAL_FAILURE(WriteArchive(archive_, {model_}));
  FlipBit(archive_, FindStored(archive_, "model:tensor.2", 3).archive_offset + 30);
  ASSERT_NO_FATAL_FAILURE(MountWithEngine("memory"));
  if (IsSkipped()) return;
  size_t failed = 0;
  int fd = ::open(Path("model").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  for (size_t at = 0; at < content_.size(); at += 4096) {
    uint8_t page[4096];
    const size_t size = std::min(sizeof page, content_.size() - at);
    if (::pread(fd, page, sizeof page, static_cast<off_t>(at)) < 0) {
      EXPECT_EQ(errno, EIO);
      ++failed;
    } else {
      EXPECT_EQ(std::memcmp(page, content_.data() + at, size), 0) << at;
    }
  }
  ::close(fd);
  EXPECT_GE(failed, kSegment / 4096 - 1);
  EXPECT_LE(failed, 2 * (kSegment / 4096));
  EXPECT_EQ(StatusNumber("decoded_memory_bytes"), 0u);
}

// Signals interrupt those who wait; none of them may fail or see anything else for it.
TEST_F(MemoryEngineTest, OpensSurviveSignals) {
  ASSERT_NO_FATAL_FAILURE(MountModel());
  if (IsSkipped()) return;
  struct sigaction action = {}, before;
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGALRM, &action, &before);
  itimerval often = {{0, 300}, {0, 300}}, never = {};
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
    ASSERT_EQ(MountAgain({"--engine", "memory"}).code, 0);
    ::setitimer(ITIMER_REAL, &often, nullptr);
    const Bytes seen = ReadFile(Path("model"));
    ::setitimer(ITIMER_REAL, &never, nullptr);
    EXPECT_EQ(seen, content_);
  }
  ::sigaction(SIGALRM, &before, nullptr);
}

TEST_F(MemoryEngineTest, WhatWasDecodedOutlivesTheDaemon) {
  ASSERT_NO_FATAL_FAILURE(MountModel());
  if (IsSkipped()) return;
  uint8_t* bytes = Map();
  ASSERT_NE(bytes, nullptr);
  pid_t daemon = DaemonPid();
  EXPECT_NE(RunEntrofs({"umount", mount_point_.string()}).code, 0) << "it is in use";
  ::kill(daemon, SIGKILL);
  EXPECT_TRUE(EndsSoon(daemon));
  EXPECT_TRUE(Equals(bytes));
  ::munmap(bytes, content_.size());
  int fd = ::open(Path("model").c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_LT(fd, 0);
  EXPECT_EQ(MountAgain({"--engine", "memory"}).code, 0) << "over the dead mount";
  EXPECT_EQ(ReadFile(Path("model")), content_);
}

TEST_F(MemoryEngineTest, EveryWayOfUnmountingLeavesNothing) {
  for (const char* way : {"entrofs umount", "umount", "lazy", "SIGTERM", "SIGINT"}) {
    SCOPED_TRACE(way);
    ASSERT_NO_FATAL_FAILURE(MountModel());
    if (IsSkipped()) return;
    EXPECT_EQ(ReadFile(Path("model")), content_);
    pid_t daemon = DaemonPid();
    const std::string name = way;
    if (name == "entrofs umount") {
      EXPECT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
    } else if (name == "umount" || name == "lazy") {
      EXPECT_EQ(::umount2(mount_point_.c_str(), name == "lazy" ? MNT_DETACH : 0), 0);
    } else {
      ::kill(daemon, name == "SIGTERM" ? SIGTERM : SIGINT);
    }
    EXPECT_TRUE(EndsSoon(daemon));
    EXPECT_FALSE(FindMount(mount_point_.string()));
  }
}

TEST_F(MemoryEngineTest, MountOptionsReachTheKernel) {
  ASSERT_NO_FATAL_FAILURE(MountModel({"-o", "noexec,noallow_other,max_read=65536"}));
  if (IsSkipped()) return;
  const std::string table = ReadText("/proc/self/mountinfo");
  const size_t at = table.find(" " + mount_point_.string() + " ");
  ASSERT_NE(at, std::string::npos);
  const std::string line = table.substr(at, table.find('\n', at) - at);
  for (const char* part :
       {" ro,nosuid,nodev,noexec", " fuse.entrofs entrofs ", "max_read=65536", "default_permissions"}) {
    EXPECT_NE(line.find(part), std::string::npos) << part << " is not in " << line;
  }
  EXPECT_EQ(line.find("allow_other"), std::string::npos) << line;
  EXPECT_EQ(ReadFile(Path("model")), content_);
}

TEST_F(MemoryEngineTest, OtherUsersReadItToo) {
  ASSERT_NO_FATAL_FAILURE(MountModel());
  if (IsSkipped()) return;
  pid_t reader = ::fork();
  if (reader == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(2);
    uint8_t* bytes = Map();
    ::_exit(bytes != nullptr && Equals(bytes) && ReadFile(Path("model")) == content_ ? 0 : 1);
  }
  int status = 1;
  EXPECT_TRUE(WaitFor(reader, 60, &status));
  EXPECT_EQ(status, 0);
}

TEST_F(MemoryEngineTest, OrdinaryUsersAreToldThatTheyCannot) {
  ASSERT_NO_FATAL_FAILURE(WriteArchive(archive_, {model_}));
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
  const std::filesystem::path log = folder_.path() / "log";
  pid_t mounter = ::fork();
  if (mounter == 0) {
    int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    ::dup2(output, 2);
    const std::string program = std::string(ENTROFS_BIN_DIR) + "/entrofs";
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(2);
    ::execl(program.c_str(), "entrofs", "mount", "--engine", "memory", archive_.c_str(), mount_point_.c_str(), nullptr);
    ::_exit(3);
  }
  int status = 0;
  ASSERT_TRUE(WaitFor(mounter, 60, &status));
  if (WEXITSTATUS(status) == 3) GTEST_SKIP() << "others may not run the program here";
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_NE(ReadText(log).find("engine memory: only root"), std::string::npos) << ReadText(log);
  EXPECT_FALSE(FindMount(mount_point_.string()));
}

}  // namespace
}  // namespace entrofs::fs
