// Mounts begun by careless programs: with descriptors closed or left open, signals ignored, limits set, and on machines
// that lack what others have.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "fs/mount_table.h"
#include "tests/mount/mount_fixture.h"

namespace entrofs::fs {
namespace {

class CarelessTest : public MountTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(MountTest::SetUp());
    if (testing::Test::IsSkipped()) return;
    ASSERT_NO_FATAL_FAILURE(WriteArchive(archive_, {model_}));
  }

  // `entrofs mount` of the archive, in a shell: what comes before it, and after its arguments.
  int MountByShell(const std::string& before, const std::string& after) const {
    const std::string program = "'" ENTROFS_BIN_DIR "/entrofs'";
    return std::system(
        (before + program + " mount '" + archive_.string() + "' '" + mount_point_.string() + "' " + after).c_str());
  }

  // The mount shows the file. Unmounts.
  void ExpectServed(const std::string& how) {
    EXPECT_TRUE(FindMount(mount_point_.string()).has_value()) << how;
    EXPECT_EQ(ReadFile(Path("model")), model_.Content()) << how;
    const Outcome outcome = RunEntrofs({"umount", mount_point_.string()});
    EXPECT_EQ(outcome.code, 0) << how << outcome.output;
  }

  const SampleFile model_ = ModelFile("model", 1, 3'000'000);
};

TEST_F(CarelessTest, ServesThoughStandardDescriptorsWereClosed) {
  for (const char* closed : {"<&-", ">&-", "2>&-", "<&- >&- 2>&-"}) {
    EXPECT_EQ(MountByShell("", closed), 0) << closed;
    ExpectServed(closed);
  }
}

TEST_F(CarelessTest, LetsGoOfTheLocksOfWhoMounted) {
  const std::string lock = (folder_.path() / "lock").string();
  EXPECT_EQ(MountByShell("exec 9>'" + lock + "'; flock -n 9 || exit 1; ", ""), 0);
  const int fd = ::open(lock.c_str(), O_WRONLY | O_CLOEXEC);
  EXPECT_EQ(::flock(fd, LOCK_EX | LOCK_NB), 0) << "the daemon has it";
  ::close(fd);
  ExpectServed("after flock");
}

TEST_F(CarelessTest, ServesUnderALimitOfFileSizeWithEveryEngine) {
  for (const char* engine : {"fuse", "auto", "memory"}) {
    const std::string option = std::string("--engine ") + engine + " 2>'" + (folder_.path() / "log").string() + "'";
    const int status = MountByShell("ulimit -f 1000; exec ", option);
    if (status != 0 && std::string(engine) == "memory") continue;  // not on every kernel, and root alone
    EXPECT_EQ(status, 0) << engine;
    ExpectServed(engine);
  }
}

TEST_F(CarelessTest, ServesWithFewDescriptors) {
  int served = 0;
  for (int most : {3, 4, 6, 8, 10, 16, 24}) {
    const std::string log = (folder_.path() / "log").string();
    const int status = MountByShell("exec >'" + log + "' 2>&1; ulimit -n " + std::to_string(most) + "; exec ", "");
    ASSERT_TRUE(WIFEXITED(status)) << most;
    if (status == 0) {
      ++served;
      ExpectServed(std::to_string(most));
      continue;
    }
    EXPECT_NE(ReadText(log), "") << most;
    EXPECT_FALSE(FindMount(mount_point_.string()).has_value()) << most;
  }
  EXPECT_GE(served, 1);
}

TEST_F(CarelessTest, ServesWithoutAnEnvironmentAndWithSignalsIgnored) {
  EXPECT_EQ(MountByShell("exec env -i ", ""), 0);
  ExpectServed("no environment");
  EXPECT_EQ(MountByShell("exec env --ignore-signal=CHLD --block-signal=TERM ", ""), 0);
  ExpectServed("signals");
}

TEST_F(CarelessTest, ServesWhereRunIsReadOnlyAndSyslogAndMtabAreMissing) {
  if (::geteuid() != 0 || std::system("unshare -m true 2>/dev/null") != 0) GTEST_SKIP() << "only root may hide folders";
  const std::string empty = (folder_.path() / "empty").string();
  ::mkdir(empty.c_str(), 0755);
  // In a mount namespace: /run is an empty folder that cannot be written (and has no
  // socket of syslog), /etc is empty. The daemon, the reader and
  // the umount are in it as well.
  const std::string entrofs = "'" ENTROFS_BIN_DIR "/entrofs'";
  const std::string mnt = "'" + mount_point_.string() + "'";
  const std::string script = "mount --bind -o ro '" + empty + "' /run && mount -o remount,bind,ro /run && " +
                             "mount -t tmpfs none /etc && " + entrofs + " mount '" + archive_.string() + "' " + mnt +
                             " --engine auto && cmp " + mnt + "/model '" + (folder_.path() / "plain").string() +
                             "' && " + entrofs + " umount " + mnt;
  const Bytes plain = model_.Content();
  FILE* file = std::fopen((folder_.path() / "plain").c_str(), "we");
  std::fwrite(plain.data(), 1, plain.size(), file);
  std::fclose(file);
  EXPECT_EQ(std::system(("unshare -m sh -ec \"" + script + "\"").c_str()), 0);
}

}  // namespace
}  // namespace entrofs::fs
