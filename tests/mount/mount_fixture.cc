#include "tests/mount/mount_fixture.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "fs/mount_table.h"

namespace entrofs::fs {

std::string ReadText(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

pid_t StartEntrofs(const std::vector<std::string>& args, const std::filesystem::path& log) {
  std::vector<std::string> words = {std::string(ENTROFS_BIN_DIR) + "/entrofs"};
  words.insert(words.end(), args.begin(), args.end());
  return StartProgram(std::move(words), log);
}

pid_t StartProgram(std::vector<std::string> words, const std::filesystem::path& log) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = -1;
  EXPECT_EQ(posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

Outcome RunEntrofs(const std::vector<std::string>& args) {
  TestFolder folder;
  pid_t pid = StartEntrofs(args, folder.path() / "log");
  int status = 0;
  ::waitpid(pid, &status, 0);
  int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return {code, ReadText(folder.path() / "log")};
}

bool WaitFor(pid_t pid, double seconds, int* status) {
  auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end) {
    if (::waitpid(pid, status, WNOHANG) == pid) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

MountTest::MountTest() : archive_(folder_.path() / "model.entro"), mount_point_(folder_.path() / "mnt") {
  std::filesystem::create_directory(mount_point_);
}

MountTest::~MountTest() {
  for (std::optional<MountEntry> entry; (entry = FindMount(mount_point_.string()));) {
    if (::umount2(mount_point_.c_str(), MNT_DETACH) != 0 &&
        RunEntrofs({"umount", "--lazy", mount_point_.string()}).code != 0) {
      break;
    }
  }
}

void MountTest::SetUp() {
  if (::access("/dev/fuse", R_OK | W_OK) != 0)
    GTEST_SKIP() << "may not open /dev/fuse: load the kernel module fuse, give a container --device /dev/fuse";
}

void MountTest::Mount(const std::vector<SampleFile>& files, const std::vector<std::string>& more_args) {
  ASSERT_NO_FATAL_FAILURE(WriteArchive(archive_, files));
  Outcome outcome = MountAgain(more_args);
  ASSERT_EQ(outcome.code, 0) << outcome.output;
}

Outcome MountTest::MountAgain(const std::vector<std::string>& more_args) {
  std::vector<std::string> args = {"mount", archive_.string(), mount_point_.string()};
  args.insert(args.end(), more_args.begin(), more_args.end());
  return RunEntrofs(args);
}

void MountTest::MountWithEngine(const std::string& engine, const std::vector<std::string>& more_args) {
  std::vector<std::string> args = {"--engine", engine};
  args.insert(args.end(), more_args.begin(), more_args.end());
  Outcome outcome = MountAgain(args);
  // Root only, and not with every kernel. Linux 6.9 has it, when it was built in.
  for (const char* excuse :
       {"only root may", "Linux 6.9", "libfuse is too old", "cannot make a tmpfs", "leases are off"}) {
    if (engine == "memory" && outcome.output.find(excuse) != std::string::npos) GTEST_SKIP() << outcome.output;
  }
  ASSERT_EQ(outcome.code, 0) << outcome.output;
}

uint64_t MountTest::StatusNumber(const std::string& name) {
  Outcome outcome = RunEntrofs({"status", "--json", mount_point_.string()});
  EXPECT_EQ(outcome.code, 0) << outcome.output;
  auto value = nlohmann::json::parse(outcome.output).at(name);
  return value.is_string() ? std::stoull(value.get<std::string>()) : value.get<uint64_t>();
}

Bytes MountTest::ReadFile(const std::string& path) {
  Bytes bytes;
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_GE(fd, 0) << path;
  if (fd < 0) return bytes;
  Bytes chunk(1 << 20);
  ssize_t n = 0;
  while ((n = ::read(fd, chunk.data(), chunk.size())) > 0) bytes.insert(bytes.end(), chunk.begin(), chunk.begin() + n);
  EXPECT_EQ(n, 0) << path;
  ::close(fd);
  return bytes;
}

int MountTest::ErrorOfRead(const std::string& path, off_t offset) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
  uint8_t bytes[64];
  int error = ::pread(fd, bytes, sizeof bytes, offset) < 0 ? errno : 0;
  ::close(fd);
  return error;
}

}  // namespace entrofs::fs
