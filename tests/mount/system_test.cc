// How the system starts mounts: systemd's readiness protocol, its check of the unit, mount(8)'s helper.

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <regex>
#include <sstream>

#include "fs/mount_table.h"
#include "tests/mount/mount_fixture.h"
#include "tests/support/sanitizers.h"

namespace entrofs::fs {
namespace {

class SystemTest : public MountTest {};

// Exit code of tests/mount/unit_filter.py where this machine lacks what it needs.
constexpr int kUnitFilterMisses = 77;

// A socket that stands for systemd's.
class NotifySocket {
 public:
  explicit NotifySocket(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  ~NotifySocket() {
    ::unsetenv("NOTIFY_SOCKET");
    ::close(fd_);
  }

  std::string Receive() const {
    pollfd wait = {fd_, POLLIN, 0};
    if (::poll(&wait, 1, 20'000) != 1) return "";
    char text[256];
    ssize_t n = ::recv(fd_, text, sizeof text, 0);
    return n < 0 ? "" : std::string(text, static_cast<size_t>(n));
  }

 private:
  int fd_;
};

TEST_F(SystemTest, SystemdHearsOfTheMountOnceItServesAndOfItsEnd) {
  SampleFile model = ModelFile("model", 1, 100'000);
  WriteArchive(archive_, {model});
  NotifySocket systemd((folder_.path() / "notify").string());
  pid_t daemon = StartEntrofs({"mount", "-f", archive_.string(), mount_point_.string()}, folder_.path() / "log");
  EXPECT_EQ(systemd.Receive(), "READY=1");
  EXPECT_EQ(ReadFile(Path("model")), model.Content());
  ::kill(daemon, SIGTERM);
  EXPECT_EQ(systemd.Receive(), "STOPPING=1");
  int status = -1;
  EXPECT_TRUE(WaitFor(daemon, 20, &status));
  EXPECT_EQ(status, 0);
}

TEST_F(SystemTest, MountHelperMountsAndIsContentWhenItIsDone) {
  SampleFile model = ModelFile("model", 1, 100'000);
  WriteArchive(archive_, {model});
  std::string command = std::string(ENTROFS_BIN_DIR) + "/mount.entrofs " + archive_.string() + " " +
                        mount_point_.string() + " -o rw,nofail,x-systemd.requires=/,threads=2";
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(ReadFile(Path("model")), model.Content());
  EXPECT_EQ(std::system(command.c_str()), 0);  // `mount -a` once more
  EXPECT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
  EXPECT_FALSE(FindMount(mount_point_.string()).has_value());
}

// What systemd would let the daemon do: its unit's filter of system calls, capabilities and limits.
TEST_F(SystemTest, ServesUnderTheLimitsOfItsUnit) {
  if (testing_support::kUnderAddressSanitizer || testing_support::kUnderThreadSanitizer) {
    GTEST_SKIP() << "sanitizers make system calls of their own: run in a build without them";
  }
  const std::filesystem::path log = folder_.path() / "log";
  const auto start = [&](std::vector<std::string> command) {
    const std::string source = ENTROFS_SOURCE_DIR;
    command.insert(command.begin(),
                   {"/usr/bin/python3", source + "/tests/mount/unit_filter.py", source + "/systemd/entrofs@.service"});
    return StartProgram(std::move(command), log);
  };
  int status = -1;
  ASSERT_TRUE(WaitFor(start({"/bin/true"}), 20, &status)) << ReadText(log);
  if (WEXITSTATUS(status) == kUnitFilterMisses) {
    GTEST_SKIP() << "needs root, x86-64, systemd-analyze (package systemd) and unistd_64.h (package linux-libc-dev)";
  }
  ASSERT_EQ(status, 0) << ReadText(log);
  SampleFile model = ModelFile("model", 4, 500'000);
  WriteArchive(archive_, {model});
  std::vector<const char*> engines = {"engine=fuse", "engine=auto"};
  if (MountAgain({"--engine", "memory"}).code == 0) {
    EXPECT_EQ(RunEntrofs({"umount", mount_point_.string()}).code, 0);
    engines.push_back("engine=memory");
  }
  for (const char* engine : engines) {
    NotifySocket systemd((folder_.path() / engine).string());
    pid_t daemon = start({std::string(ENTROFS_BIN_DIR) + "/entrofs", "mount", "-f", "-o", engine, archive_.string(),
                          mount_point_.string()});
    EXPECT_EQ(systemd.Receive(), "READY=1") << ReadText(log);
    EXPECT_EQ(ReadFile(Path("model")), model.Content()) << engine;
    EXPECT_EQ(StatusNumber("decoded_memory_bytes") > 0, std::string(engine) == "engine=memory");
    ::kill(daemon, SIGTERM);
    EXPECT_TRUE(WaitFor(daemon, 20, &status)) << engine;
    EXPECT_EQ(status, 0) << engine;
  }
}

TEST(SystemdUnit, PassesSystemdsOwnCheck) {
  if (std::system("command -v systemd-analyze >/dev/null") != 0)
    GTEST_SKIP() << "no systemd-analyze: install the package systemd";
  std::ostringstream unit;
  unit << std::ifstream(std::string(ENTROFS_SOURCE_DIR) + "/systemd/entrofs@.service").rdbuf();
  ASSERT_NE(unit.str().find("/usr/bin/entrofs"), std::string::npos);
  TestFolder folder;
  std::string copy = (folder.path() / "entrofs@.service").string();
  // Checked as if this build were installed.
  std::ofstream(copy) << std::regex_replace(unit.str(), std::regex("/usr/bin/entrofs"),
                                            std::string(ENTROFS_BIN_DIR) + "/entrofs");
  EXPECT_EQ(std::system(("systemd-analyze verify " + copy).c_str()), 0);
}

TEST(SystemdUnit, IsExposedNoMoreThanSystemdCallsOk) {
  // What systemd-analyze calls "OK" ends below 5.
  const std::string check = "systemd-analyze security --offline=true --no-pager --threshold=49 ";
  if (std::system("systemd-analyze security --help 2>/dev/null | grep -q threshold") != 0)
    GTEST_SKIP() << "no systemd-analyze that measures: install the package systemd, of Debian 12 or later";
  const std::string unit = ENTROFS_SOURCE_DIR "/systemd/entrofs@.service";
  EXPECT_EQ(std::system((check + unit + " >/dev/null").c_str()), 0);
}

}  // namespace
}  // namespace entrofs::fs
