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

namespace entrofs::fs {
namespace {

class SystemTest : public MountTest {};

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

}  // namespace
}  // namespace entrofs::fs
