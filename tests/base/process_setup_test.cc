#include "base/process_setup.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

#include "tests/support/temporary_folder.h"

namespace entrofs {
namespace {

// What `check` says in a process of its own, whose state it may spoil.
bool InChild(const std::function<bool()>& check) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(check() ? 0 : 1);
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool IsOpen(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(SetUpProcess, GivesClosedStandardDescriptorsAPlaceThatTakesAll) {
  for (int closed = 1; closed < 8; ++closed) {
    EXPECT_TRUE(InChild([closed] {
      for (int fd : {0, 1, 2}) {
        if ((closed >> fd & 1) != 0) ::close(fd);
      }
      SetUpProcess();
      const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
      char byte = 0;
      const bool reads_nothing = (closed & 1) == 0 || ::read(0, &byte, 1) == 0;
      const bool takes_all = (closed & 2) == 0 || ::write(1, "x", 1) == 1;
      return IsOpen(0) && IsOpen(1) && IsOpen(2) && next > 2 && reads_nothing && takes_all;
    })) << closed;
  }
}

TEST(SetUpProcess, MakesAFileThatGetsTooLargeAnError) {
  testing_support::TemporaryFolder folder;
  EXPECT_TRUE(InChild([&folder] {
    const rlimit limit = {100, 100};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    SetUpProcess();
    const int fd = ::open(folder.Path("f").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return ::ftruncate(fd, 101) != 0 && errno == EFBIG;
  }));
}

TEST(SetUpProcess, UndoesWhatAParentMadeOfSignals) {
  EXPECT_TRUE(InChild([] {
    ::signal(SIGCHLD, SIG_IGN);
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    SetUpProcess();
    sigset_t now;
    ::sigprocmask(SIG_BLOCK, nullptr, &now);
    return InChild([] { return true; }) && !::sigismember(&now, SIGTERM);
  }));
}

TEST(SetUpProcess, AllowsItselfTheDescriptorsThatItMayHave) {
  EXPECT_TRUE(InChild([] {
    const rlimit before = {10, 50};
    ::setrlimit(RLIMIT_NOFILE, &before);
    SetUpProcess();
    rlimit after = {};
    return ::getrlimit(RLIMIT_NOFILE, &after) == 0 && after.rlim_cur == 50;
  }));
}

TEST(CloseInheritedDescriptors, LetsGoOfLocksAndKeepsWhatIsOurs) {
  testing_support::TemporaryFolder folder;
  const std::string path = folder.Path("lock");
  EXPECT_TRUE(InChild([&path] {
    const int inherited = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);  // as a shell opens it: without close-on-exec
    const int ours = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    ::flock(inherited, LOCK_EX);
    CloseInheritedDescriptors();
    return !IsOpen(inherited) && IsOpen(ours) && IsOpen(0) && ::flock(ours, LOCK_EX | LOCK_NB) == 0;
  }));
}

}  // namespace
}  // namespace entrofs
