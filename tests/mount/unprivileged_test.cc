// Mounting as an ordinary user, through fusermount3.

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "fs/mount_table.h"
#include "tests/mount/mount_fixture.h"

namespace entrofs::fs {
namespace {

constexpr uid_t kNobody = 65534;
constexpr unsigned kFuseMajor = 10;
constexpr unsigned kFuseMinor = 229;

// Exit codes of the child that plays the user.
constexpr int kAllWell = 0;
constexpr int kNoNamespace = 10;
constexpr int kMountFailed = 20;
constexpr int kWrongBytes = 21;
constexpr int kUmountFailed = 22;
constexpr int kSeenByOthers = 23;
constexpr int kCanBeDumped = 24;

constexpr char kMayNotMakeNamespace[] =
    "may not make a mount namespace and a device node: run as root, a container with --privileged";

// Gives this process a view of its own with a /dev/fuse that everybody may use.
bool EnterNamespaceWithFuse(const std::filesystem::path& folder) {
  std::filesystem::path node = folder / "fuse";
  return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mknod(node.c_str(), S_IFCHR | 0666, makedev(kFuseMajor, kFuseMinor)) == 0 &&
         ::chmod(node.c_str(), 0666) == 0 && ::mount(node.c_str(), "/dev/fuse", nullptr, MS_BIND, nullptr) == 0;
}

// Makes this process nobody's.
bool BecomeNobody() { return ::setgroups(0, nullptr) == 0 && ::setgid(kNobody) == 0 && ::setuid(kNobody) == 0; }

class UnprivilegedTest : public MountTest {
 protected:
  void SetUp() override {
    MountTest::SetUp();
    if (IsSkipped()) return;
    if (::geteuid() != 0) GTEST_SKIP() << "may not become another user: run as root";
    if (std::system("command -v fusermount3 >/dev/null") != 0)
      GTEST_SKIP() << "no fusermount3: install the package fuse3";
    // The user must be able to run the program, wherever it was built.
    program_ = folder_.path() / "entrofs";
    std::filesystem::copy_file(std::string(ENTROFS_BIN_DIR) + "/entrofs", program_);
    ASSERT_EQ(::chown(mount_point_.c_str(), kNobody, kNobody), 0);
  }

  bool Succeeds(const std::string& arguments) const {
    return std::system((program_.string() + " " + arguments).c_str()) == 0;
  }
  // Without what a build with counters says on stderr of those that nobody may write.
  std::string Output(const std::string& arguments) const {
    std::string text;
    FILE* pipe = ::popen((program_.string() + " " + arguments + " 2>/dev/null").c_str(), "r");
    for (int c = 0; pipe != nullptr && (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
    if (pipe != nullptr) ::pclose(pipe);
    return text;
  }

  std::filesystem::path program_;
};

TEST_F(UnprivilegedTest, AnOrdinaryUserMountsReadsAndUnmounts) {
  SampleFile model = ModelFile("model", 3, 700'000, 128 << 10);
  WriteArchive(archive_, {model});
  Bytes content = model.Content();
  std::string mount_point = mount_point_.string();
  pid_t user = ::fork();
  if (user == 0) {
    if (!EnterNamespaceWithFuse(folder_.path()) || !BecomeNobody()) ::_exit(kNoNamespace);
    if (!Succeeds("mount " + archive_.string() + " " + mount_point)) ::_exit(kMountFailed);
    bool same = ReadFile(Path("model")) == content && FindMount(mount_point)->type == kFuseType;
    bool has_status = Succeeds("status " + mount_point + " >/dev/null");
    // The daemon's memory is not even its user's to see; files below /proc are root's then.
    struct stat info;
    const nlohmann::json pid = nlohmann::json::parse(Output("status --json " + mount_point)).at("pid");
    const std::string name = "/proc/" + (pid.is_string() ? pid.get<std::string>() : pid.dump()) + "/environ";
    if (::stat(name.c_str(), &info) != 0 || info.st_uid != 0) ::_exit(kCanBeDumped);
    if (!Succeeds("umount " + mount_point)) ::_exit(kUmountFailed);
    ::_exit(same && has_status ? kAllWell : kWrongBytes);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(user, &status, 0), user);
  if (WEXITSTATUS(status) == kNoNamespace) GTEST_SKIP() << kMayNotMakeNamespace;
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), kAllWell);
}

TEST_F(UnprivilegedTest, OthersAndEvenRootCannotSeeAnOrdinaryUsersMount) {
  WriteArchive(archive_, {ModelFile("model", 1, 100'000)});
  const std::string mount_point = mount_point_.string();
  pid_t root = ::fork();
  if (root == 0) {
    if (!EnterNamespaceWithFuse(folder_.path())) ::_exit(kNoNamespace);
    auto as_nobody = [&](const std::string& arguments) {
      pid_t user = ::fork();
      if (user == 0) ::_exit(BecomeNobody() && Succeeds(arguments) ? 0 : 1);
      int status = 0;
      ::waitpid(user, &status, 0);
      return status == 0;
    };
    if (!as_nobody("mount " + archive_.string() + " " + mount_point)) ::_exit(kMountFailed);
    struct stat info;
    const bool seen = ::stat(Path("model").c_str(), &info) == 0 || errno != EACCES;
    if (!as_nobody("umount " + mount_point)) ::_exit(kUmountFailed);
    ::_exit(seen ? kSeenByOthers : kAllWell);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(root, &status, 0), root);
  if (WEXITSTATUS(status) == kNoNamespace) GTEST_SKIP() << kMayNotMakeNamespace;
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), kAllWell);
}

}  // namespace
}  // namespace entrofs::fs
