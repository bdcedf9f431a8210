#include "base/process_setup.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iterator>

namespace entrofs {
namespace {

constexpr rlim_t kWantedDescriptors = 1024;

void OpenStandardDescriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    // open takes the lowest number that is free, and those below are open by now.
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF) (void)!::open("/dev/null", O_RDWR | O_NOCTTY);
  }
}

void RaiseDescriptorLimit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kWantedDescriptors) return;
  limit.rlim_cur = std::min(limit.rlim_max, kWantedDescriptors);
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

void SetUpProcess() noexcept {
  OpenStandardDescriptors();
  (void)::signal(SIGXFSZ, SIG_IGN);
  (void)::signal(SIGCHLD, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
  RaiseDescriptorLimit();
}

void CloseInheritedDescriptors() noexcept {
  DIR* folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return;
  // Closed after the folder was read: its listing changes with what is open.
  int inherited[kWantedDescriptors];
  size_t count = 0;
  while (const dirent* entry = ::readdir(folder)) {
    const int fd = std::atoi(entry->d_name);  // 0 for "." and ".."
    if (fd <= STDERR_FILENO || count == std::size(inherited)) continue;
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) inherited[count++] = fd;
  }
  ::closedir(folder);
  for (size_t i = 0; i < count; ++i) ::close(inherited[i]);
}

}  // namespace entrofs
