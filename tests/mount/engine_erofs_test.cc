// The engine erofs: the kernel's EROFS over our FUSE mount.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "fs/mount_table.h"
#include "fs/plain_folder.h"
#include "tests/mount/mount_fixture.h"

namespace entrofs::fs {
namespace {

constexpr uint32_t kSegment = 128 << 10;
constexpr size_t kMiB = 1 << 20;
const std::vector<std::string> kErofs = {"--engine", "erofs"};

constexpr char kNeedsErofs[] = "EROFS over files needs root and Linux 6.15 with EROFS_FS_BACKED_BY_FILE";

// True when the message says that this machine lacks something, and it may well.
bool IsExcused(const std::string& message) {
  utsname system = {};
  ::uname(&system);
  std::istringstream release(system.release);
  int major = 0, minor = 0;
  char dot = 0;
  release >> major >> dot >> minor;
  bool is_old = major < 6 || (major == 6 && minor < 15);
  for (const char* part : {"has no EROFS", "block devices only", "may not mount", "only root", "read-ahead"}) {
    if (message.find(part) != std::string::npos) return true;
  }
  return is_old && message.find("this kernel") != std::string::npos;
}

class ErofsTest : public MountTest {
 protected:
  // Mounts with the engine erofs, or skips the test where the machine cannot.
  void MountErofs(const std::vector<SampleFile>& files, const std::vector<std::string>& folders = {}) {
    ASSERT_NO_FATAL_FAILURE(WriteArchive(archive_, files, folders));
    Outcome outcome = MountAgain(kErofs);
    if (outcome.code != 0 && IsExcused(outcome.output)) GTEST_SKIP() << outcome.output << "; " << kNeedsErofs;
    ASSERT_EQ(outcome.code, 0) << outcome.output;
    ASSERT_EQ(FindMount(mount_point_.string())->type, kErofsType);
  }

  std::string PlainFolder() const { return PlainFolderFor(ResolveMountPoint(mount_point_.string())); }

  pid_t DaemonPid() { return static_cast<pid_t>(StatusNumber("pid")); }

  // Whether everything that a mount makes is gone, at once or soon.
  bool NothingIsLeft(pid_t daemon) const {
    const auto is_gone = [&] {
      return !FindMount(mount_point_.string()) && !FindMount(PlainFolder()) &&
             !std::filesystem::exists(PlainFolder()) && !IsRunning(daemon);
    };
    for (int i = 0; i < 2000 && !is_gone(); ++i) ::usleep(5000);
    return is_gone();
  }

  void Unmount(const std::string& way, pid_t daemon) {
    if (way == "umount") {
      EXPECT_EQ(::umount2(mount_point_.c_str(), 0), 0);
    } else if (way == "entrofs umount") {
      EXPECT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
    } else if (way == "entrofs umount --lazy") {
      EXPECT_EQ(RunEntrofs({"umount", "--lazy", mount_point_.string()}).code, 0);
    } else {
      EXPECT_EQ(::kill(daemon, way == "SIGTERM" ? SIGTERM : SIGINT), 0);
    }
  }

  static bool IsRunning(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string number, name, state;
    return file >> number >> name >> state && state != "Z";
  }

  static void Kill(pid_t pid) {
    ::kill(pid, SIGKILL);
    for (int i = 0; i < 2000 && IsRunning(pid); ++i) ::usleep(5000);
  }

  // Reads the file front to back in pieces. Returns the number of pieces that were not read whole; -1 when any byte was
  // wrong.
  static int FailedPieces(const std::string& path, const Bytes& content, size_t piece) {
    int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return static_cast<int>(content.size() / piece);
    Bytes buffer(piece);
    int failed = 0;
    for (size_t offset = 0; offset < content.size(); offset += piece) {
      ssize_t n = ::pread(fd, buffer.data(), piece, static_cast<off_t>(offset));
      failed += n < static_cast<ssize_t>(std::min(piece, content.size() - offset)) ? 1 : 0;
      if (n > 0 && std::memcmp(buffer.data(), content.data() + offset, static_cast<size_t>(n)) != 0) failed = -1;
      if (failed < 0) break;
    }
    ::close(fd);
    return failed;
  }
};

TEST_F(ErofsTest, ShowsTheArchiveAsThePlainFilesDo) {
  std::vector<SampleFile> files = {ModelFile("model.safetensors", 5, 900'000, kSegment),
                                   ModelFile("sub/copy.safetensors", 5, 900'000, kSegment)};
  for (size_t size : {1, 4095, 4096, 4097, 1048575, 1048576, 1048577, 2097152}) {
    std::string name = "sized/" + std::to_string(size);
    files.push_back(SampleFile{.path = name, .extents = {Tensor(name, size)}});
  }
  files.push_back(SampleFile{.path = "nothing", .extents = {}});
  for (int i = 0; i < 400; ++i) {
    std::string name = "many/a-file-with-a-rather-long-name." + std::to_string(i);
    files.push_back(SampleFile{.path = name, .extents = {Tensor(name, 1 + i)}});
  }
  ASSERT_NO_FATAL_FAILURE(MountErofs(files, {"empty"}));
  if (IsSkipped()) return;
  size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(mount_point_)) {
    struct stat shown, plain;
    ASSERT_EQ(::stat(entry.path().c_str(), &shown), 0);
    std::string relative = std::filesystem::relative(entry.path(), mount_point_).string();
    ASSERT_EQ(::stat((PlainFolder() + "/" + relative).c_str(), &plain), 0) << relative;
    EXPECT_EQ(shown.st_mode, plain.st_mode) << relative;
    EXPECT_EQ(shown.st_uid, plain.st_uid) << relative;
    EXPECT_EQ(shown.st_gid, plain.st_gid) << relative;
    EXPECT_EQ(shown.st_nlink, plain.st_nlink) << relative;
    EXPECT_EQ(shown.st_mtim.tv_sec, plain.st_mtim.tv_sec) << relative;
    EXPECT_EQ(shown.st_mtim.tv_nsec, plain.st_mtim.tv_nsec) << relative;
    EXPECT_TRUE(S_ISDIR(shown.st_mode) || shown.st_size == plain.st_size) << relative;
    ++count;
  }
  EXPECT_EQ(count, files.size() + 4);
  for (const SampleFile& file : files) ASSERT_EQ(ReadFile(Path(file.path)), file.Content()) << file.path;
  EXPECT_NE(::access(Path("missing").c_str(), F_OK), 0);
  if (std::system("command -v fsck.erofs >/dev/null") == 0) {
    EXPECT_EQ(std::system(("fsck.erofs --extract " + PlainFolder() + "/.entrofs.erofs >/dev/null").c_str()), 0);
  }
}

TEST_F(ErofsTest, MappingsReadAtRandomSeeTheFile) {
  SampleFile model = ModelFile("model", 8, 1'500'000, kSegment);
  ASSERT_NO_FATAL_FAILURE(MountErofs({model}));
  if (IsSkipped()) return;
  Bytes content = model.Content();
  int fd = ::open(Path("model").c_str(), O_RDONLY | O_CLOEXEC);
  void* data = ::mmap(nullptr, content.size(), PROT_READ, MAP_SHARED, fd, 0);
  ASSERT_NE(data, MAP_FAILED);
  std::vector<std::thread> readers;
  for (unsigned seed = 0; seed < 4; ++seed) {
    readers.emplace_back([&, seed] {
      std::mt19937 random(seed);
      for (int i = 0; i < 500; ++i) {
        size_t offset = random() % (content.size() - 5000);
        EXPECT_EQ(std::memcmp(static_cast<uint8_t*>(data) + offset, content.data() + offset, 5000), 0) << offset;
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  ::munmap(data, content.size());
  ::close(fd);
}

TEST_F(ErofsTest, PlainFilesAreThereForDirectReaders) {
  SampleFile model = ModelFile("folder/model", 3, 900'000, kSegment);
  ASSERT_NO_FATAL_FAILURE(MountErofs({model}));
  if (IsSkipped()) return;
  Bytes content = model.Content();
  int fd = ::open((PlainFolder() + "/folder/model").c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  auto* buffer = static_cast<uint8_t*>(std::aligned_alloc(4096, 4 * kMiB));
  ASSERT_EQ(::pread(fd, buffer, 4 * kMiB, 0), static_cast<ssize_t>(content.size()));
  EXPECT_EQ(std::memcmp(buffer, content.data(), content.size()), 0);
  std::free(buffer);
  ::close(fd);
}

TEST_F(ErofsTest, StatusAnswersAndASecondMountIsRefused) {
  SampleFile model = ModelFile("model", 3, 900'000, kSegment);
  ASSERT_NO_FATAL_FAILURE(MountErofs({model}));
  if (IsSkipped()) return;
  EXPECT_EQ(ReadFile(Path("model")), model.Content());
  EXPECT_GE(StatusNumber("read_bytes"), model.Content().size());
  Outcome status = RunEntrofs({"status", mount_point_.string()});
  for (const std::string& part : {std::string("erofs"), PlainFolder(), archive_.string()}) {
    EXPECT_NE(status.output.find(part), std::string::npos) << part << " is not in: " << status.output;
  }
  for (const std::vector<std::string>& engine : {kErofs, {"--engine", "fuse"}, {"--engine", "auto"}}) {
    Outcome second = MountAgain(engine);
    EXPECT_EQ(second.code, 1);
    EXPECT_NE(second.output.find("mounted there already"), std::string::npos) << second.output;
  }
}

TEST_F(ErofsTest, ACorruptSegmentIsEioAndNeverOtherBytes) {
  SampleFile model = ModelFile("model", 12, 1'500'000, kSegment);
  Bytes content = model.Content();
  ASSERT_NO_FATAL_FAILURE(WriteArchive(archive_, {model}));
  FlipBit(archive_, FindStored(archive_, "model:tensor.4", 5).archive_offset + 30);
  Outcome outcome = MountAgain(kErofs);
  if (outcome.code != 0 && IsExcused(outcome.output)) GTEST_SKIP() << outcome.output << "; " << kNeedsErofs;
  for (size_t piece : {4 * kMiB, kMiB, size_t{64} << 10, size_t{4096}}) {
    int failed = FailedPieces(Path("model"), content, piece);
    EXPECT_GE(failed, 1) << piece;                                      // and -1 is wrong bytes
    EXPECT_LE(static_cast<size_t>(failed) * piece, 8 * kMiB) << piece;  // large pages fail whole
  }
  EXPECT_GE(StatusNumber("read_errors"), 1u);
}

TEST_F(ErofsTest, EveryWayOfUnmountingLeavesNothing) {
  for (const char* way : {"entrofs umount", "entrofs umount --lazy", "umount", "SIGTERM", "SIGINT"}) {
    SCOPED_TRACE(way);
    SampleFile model = ModelFile("model", 2, 900'000, kSegment);
    ASSERT_NO_FATAL_FAILURE(MountErofs({model}));
    if (IsSkipped()) return;
    EXPECT_EQ(ReadFile(Path("model")), model.Content());
    pid_t daemon = DaemonPid();
    Unmount(way, daemon);
    EXPECT_TRUE(NothingIsLeft(daemon));
  }
}

TEST_F(ErofsTest, OpenFilesKeepALazilyUnmountedMountServing) {
  SampleFile model = ModelFile("model", 6, 1'500'000, kSegment);
  ASSERT_NO_FATAL_FAILURE(MountErofs({model}));
  if (IsSkipped()) return;
  pid_t daemon = DaemonPid();
  int fd = ::open(Path("model").c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 1);
  EXPECT_EQ(RunEntrofs({"umount", "--lazy", mount_point_.string()}).code, 0);
  Bytes content = model.Content();
  Bytes bytes(content.size());
  EXPECT_EQ(::pread(fd, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  EXPECT_EQ(bytes, content);
  EXPECT_TRUE(IsRunning(daemon));
  ::close(fd);
  EXPECT_TRUE(NothingIsLeft(daemon));
}

TEST_F(ErofsTest, MountingOverTheOwnDeadMountServesAgain) {
  SampleFile model = ModelFile("model", 4, 900'000, kSegment);
  ASSERT_NO_FATAL_FAILURE(MountErofs({model}));
  if (IsSkipped()) return;
  for (const char* first : {"", "entrofs umount", "umount", ""}) {
    SCOPED_TRACE(first);
    int held = ::open(Path("model").c_str(), O_RDONLY | O_CLOEXEC);
    Kill(DaemonPid());
    uint8_t byte = 0;
    EXPECT_EQ(::pread(held, &byte, 1, kMiB + 5), -1);
    EXPECT_EQ(errno, EIO);
    ::close(held);
    if (*first != 0) Unmount(first, 0);
    EXPECT_EQ(std::filesystem::exists(PlainFolder()), std::string(first) != "entrofs umount");
    ASSERT_EQ(MountAgain(kErofs).code, 0);
    EXPECT_EQ(FailedPieces(Path("model"), Bytes(model.Content()), 512), 0);
    ASSERT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
    ASSERT_EQ(MountAgain(kErofs).code, 0);
  }
}

TEST_F(ErofsTest, TheOtherEngineReplacesADeadMountToo) {
  SampleFile model = ModelFile("model", 1, 900'000, kSegment);
  for (const char* first : {"", "umount"}) {
    ASSERT_NO_FATAL_FAILURE(MountErofs({model}));
    if (IsSkipped()) return;
    Kill(DaemonPid());
    if (*first != 0) Unmount(first, 0);
    ASSERT_EQ(MountAgain().code, 0);
    EXPECT_EQ(FindMount(mount_point_.string())->type, kFuseType);
    EXPECT_FALSE(std::filesystem::exists(PlainFolder()));
    ASSERT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
  }
}

TEST_F(ErofsTest, RemountingAtOnceIsNotDisturbedByTheOldDaemon) {
  SampleFile model = ModelFile("model", 1, 300'000, kSegment);
  ASSERT_NO_FATAL_FAILURE(MountErofs({model}));
  if (IsSkipped()) return;
  for (int i = 0; i < 10; ++i) {
    pid_t old = DaemonPid();
    Unmount(i % 2 == 0 ? "umount" : "entrofs umount", old);
    Outcome again = MountAgain(kErofs);
    ASSERT_EQ(again.code, 0) << again.output;
    for (int wait = 0; wait < 2000 && IsRunning(old); ++wait) ::usleep(5000);
    EXPECT_FALSE(IsRunning(old));
    EXPECT_NE(DaemonPid(), old);
    EXPECT_EQ(ReadFile(Path("model")), model.Content());
  }
}

// EROFS takes what a read leaves out for zeroes, so no read must ever succeed in part.
TEST_F(ErofsTest, KilledReadersAndDaemonsLeaveNoWrongBytes) {
  SampleFile model = ModelFile("model", 20, 1'500'000, kSegment);
  Bytes content = model.Content();
  ASSERT_NO_FATAL_FAILURE(MountErofs({model}));
  if (IsSkipped()) return;
  std::mt19937 random(7);
  for (int round = 0; round < 12; ++round) {
    bool kill_daemon = round % 2 == 1;
    pid_t daemon = DaemonPid();
    std::vector<pid_t> readers;
    for (int i = 0; i < 3; ++i) {
      pid_t reader = ::fork();
      if (reader == 0) ::_exit(FailedPieces(Path("model"), content, kMiB) < 0 ? 1 : 0);
      readers.push_back(reader);
    }
    ::usleep(random() % 15'000);
    ::kill(kill_daemon ? daemon : readers[0], SIGKILL);
    for (pid_t reader : readers) {
      int status = 0;
      ASSERT_EQ(::waitpid(reader, &status, 0), reader);
      EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << "wrong bytes in round " << round;
    }
    EXPECT_GE(FailedPieces(Path("model"), content, kMiB), 0) << round;
    if (kill_daemon) {
      Kill(daemon);
    } else {
      Unmount("umount", daemon);
    }
    Outcome again = MountAgain(kErofs);
    ASSERT_EQ(again.code, 0) << again.output;
  }
}

TEST_F(ErofsTest, AutoTakesErofsWhereItWorksAndFuseElsewhere) {
  SampleFile model = ModelFile("model", 2, 300'000, kSegment);
  ASSERT_NO_FATAL_FAILURE(MountErofs({model}));
  if (IsSkipped()) return;
  ASSERT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
  EXPECT_EQ(MountAgain({"--engine", "auto"}).code, 0);
  EXPECT_EQ(FindMount(mount_point_.string())->type, kErofsType);
  ASSERT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
  // EROFS cannot hide files.
  Outcome hidden = MountAgain({"--engine", "auto", "-o", "noallow_other"});
  EXPECT_EQ(hidden.code, 0) << hidden.output;
  EXPECT_EQ(hidden.output, "");
  EXPECT_EQ(FindMount(mount_point_.string())->type, kFuseType);
  EXPECT_EQ(ReadFile(Path("model")), model.Content());
  ASSERT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
  Outcome refused = MountAgain({"-o", "engine=erofs,noallow_other"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.output.find("engine erofs: "), std::string::npos) << refused.output;
  EXPECT_EQ(std::count(refused.output.begin(), refused.output.end(), '\n'), 1) << refused.output;
  EXPECT_FALSE(FindMount(mount_point_.string()).has_value());
  EXPECT_FALSE(std::filesystem::exists(PlainFolder()));
}

TEST_F(ErofsTest, APrivateFolderAboveTheMountPointKeepsPlainFilesPrivateToo) {
  std::filesystem::permissions(folder_.path(), std::filesystem::perms(0700));
  ASSERT_NO_FATAL_FAILURE(MountErofs({ModelFile("model", 1, 1000, kSegment)}));
  if (IsSkipped()) return;
  struct stat info;
  ASSERT_EQ(::stat(PlainFolderFor(folder_.path().string()).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
  EXPECT_EQ(info.st_uid, 0u);
}

TEST_F(ErofsTest, AFolderThatHasBecomePrivateSinceAnotherMountIsPrivateForTheNext) {
  const std::filesystem::path other = folder_.path() / "other";
  std::filesystem::create_directory(other);
  std::filesystem::permissions(folder_.path(), std::filesystem::perms(0755));
  ASSERT_NO_FATAL_FAILURE(MountErofs({ModelFile("model", 1, 1000, kSegment)}));
  if (IsSkipped()) return;
  std::filesystem::permissions(folder_.path(), std::filesystem::perms(0700));
  std::vector<std::string> mount = {"mount", archive_.string(), other.string()};
  mount.insert(mount.end(), kErofs.begin(), kErofs.end());
  ASSERT_EQ(RunEntrofs(mount).code, 0);
  struct stat info;
  ASSERT_EQ(::stat(PlainFolderFor(folder_.path().string()).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
  EXPECT_EQ(RunEntrofs({"umount", other.string()}).code, 0);
}

}  // namespace
}  // namespace entrofs::fs
