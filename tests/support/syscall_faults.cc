#include "tests/support/syscall_faults.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>

// Compiled with _FILE_OFFSET_BITS=64 like all else, so that `open` here is the symbol that base/file.cc calls.

namespace entrofs::testing_support {
namespace {

struct State {
  bool active = false;
  uint64_t at = 0;
  Fault fault = Fault::kError;
  int error_number = 0;
  FaultReport report{};
};
thread_local State state;

enum class Action { kWork, kFail, kOneByte, kNothing };

// What the present call does; sets errno for kFail.
Action Next(Call call) {
  if (!state.active) return Action::kWork;
  if (state.report.call_count++ != state.at) return Action::kWork;
  state.report.happened = true;
  state.report.call = call;
  const bool moves_bytes = call == Call::kRead || call == Call::kWrite;
  switch (state.fault) {
    case Fault::kError:
      errno = state.error_number;
      return Action::kFail;
    case Fault::kInterrupt:
      errno = EINTR;
      return Action::kFail;
    case Fault::kShort:
      return moves_bytes ? Action::kOneByte : Action::kWork;
    case Fault::kZero:
      return moves_bytes ? Action::kNothing : Action::kWork;
  }
  return Action::kWork;
}

int Open(const char* path, int flags, mode_t mode) {
  if (Next(Call::kOpen) == Action::kFail) return -1;
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

ssize_t Write(int fd, const void* data, size_t size) {
  switch (Next(Call::kWrite)) {
    case Action::kFail:
      return -1;
    case Action::kNothing:
      return 0;
    case Action::kOneByte:
      return ::syscall(SYS_write, fd, data, size < 1 ? size : 1);
    case Action::kWork:
      break;
  }
  return ::syscall(SYS_write, fd, data, size);
}

ssize_t Pread(int fd, void* data, size_t size, off_t offset) {
  switch (Next(Call::kRead)) {
    case Action::kFail:
      return -1;
    case Action::kNothing:
      return 0;
    case Action::kOneByte:
      return ::syscall(SYS_pread64, fd, data, size < 1 ? size : 1, offset);
    case Action::kWork:
      break;
  }
  return ::syscall(SYS_pread64, fd, data, size, offset);
}

int Fstat(int fd, struct stat* info) {
  if (Next(Call::kFstat) == Action::kFail) return -1;
  return static_cast<int>(::syscall(SYS_newfstatat, fd, "", info, AT_EMPTY_PATH));
}

// As the library's: replaces the six X before the suffix until a free name is found.
int Mkostemps(char* path, int suffix_bytes, int flags) {
  if (Next(Call::kMkostemps) == Action::kFail) return -1;
  static const char kLetters[] = "abcdefghijklmnopqrstuvwxyz";
  static unsigned counter = 0;
  char* place = path + std::strlen(path) - suffix_bytes - 6;
  unsigned number = counter++;
  for (int i = 0; i < 6; ++i, number /= 26) place[i] = kLetters[number % 26];
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags | O_RDWR | O_CREAT | O_EXCL, 0600));
}

}  // namespace

const char* Name(Call call) {
  static const char* const kNames[] = {"open", "mkostemps", "fchmod", "fstat",  "lseek",
                                       "read", "write",     "fsync",  "rename", "unlink"};
  return kNames[static_cast<size_t>(call)];
}

void StartFaults(uint64_t at, Fault fault, int error_number) {
  state = State{.active = true, .at = at, .fault = fault, .error_number = error_number, .report = {}};
}

FaultReport StopFaults() {
  state.active = false;
  return state.report;
}

}  // namespace entrofs::testing_support

using entrofs::testing_support::Action;
using entrofs::testing_support::Call;
using entrofs::testing_support::Next;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return entrofs::testing_support::Open(path, flags, mode);
}
ssize_t write(int fd, const void* data, size_t size) { return entrofs::testing_support::Write(fd, data, size); }
ssize_t pread(int fd, void* data, size_t size, off_t offset) {
  return entrofs::testing_support::Pread(fd, data, size, offset);
}
int fstat(int fd, struct stat* info) noexcept { return entrofs::testing_support::Fstat(fd, info); }
int mkostemps(char* path, int suffix_bytes, int flags) {
  return entrofs::testing_support::Mkostemps(path, suffix_bytes, flags);
}
int fchmod(int fd, mode_t mode) noexcept {
  return Next(Call::kFchmod) == Action::kFail ? -1 : static_cast<int>(::syscall(SYS_fchmod, fd, mode));
}
off_t lseek(int fd, off_t offset, int whence) noexcept {
  return Next(Call::kLseek) == Action::kFail ? -1 : ::syscall(SYS_lseek, fd, offset, whence);
}
int fsync(int fd) { return Next(Call::kFsync) == Action::kFail ? -1 : static_cast<int>(::syscall(SYS_fsync, fd)); }
int rename(const char* from, const char* to) noexcept {
  if (Next(Call::kRename) == Action::kFail) return -1;
  return static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
int unlink(const char* path) noexcept {
  return Next(Call::kUnlink) == Action::kFail ? -1 : static_cast<int>(::syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}
}
