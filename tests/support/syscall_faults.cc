#include "tests/support/syscall_faults.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/file.h"

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

enum class Action { kWork, kFail, kOneByte, kNothing, kOtherBytes, kWorkThenSignal };

// What the present call does; sets errno for kFail.
Action Next(Call call) {
  if (!state.active || (state.fault == Fault::kCorrupt && call != Call::kWrite)) return Action::kWork;
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
    case Fault::kCorrupt:
      return Action::kOtherBytes;
    case Fault::kSignal:
      return Action::kWorkThenSignal;
  }
  return Action::kWork;
}

// Whether the next call is the one that writes other bytes.
bool NextIsCorrupt(size_t size) {
  return state.active && state.fault == Fault::kCorrupt && state.report.call_count == state.at && size > 0;
}

// Does `work` (-> result of a call that moves no bytes) as the plan says.
template <typename Work>
auto Do(Call call, const Work& work) -> decltype(work()) {
  const Action action = Next(call);
  if (action == Action::kFail) return -1;
  auto result = work();
  if (action == Action::kWorkThenSignal) {
    RemoveUncommittedFiles();
    ::_exit(kSignalledExit);
  }
  return result;
}

// The same for calls that move up to `size` bytes; `work` takes how many.
template <typename Work>
ssize_t Move(Call call, size_t size, const Work& work) {
  switch (Next(call)) {
    case Action::kFail:
      return -1;
    case Action::kNothing:
      return 0;
    case Action::kOneByte:
      return work(size < 1 ? size : 1);
    case Action::kWork:
    case Action::kOtherBytes:
      return work(size);
    case Action::kWorkThenSignal:
      break;
  }
  (void)work(size);
  RemoveUncommittedFiles();
  ::_exit(kSignalledExit);
}

std::atomic<uint64_t> umask_calls{0};

}  // namespace

uint64_t UmaskCalls() { return umask_calls; }
mode_t Umask(mode_t mask) {
  ++umask_calls;
  return static_cast<mode_t>(::syscall(SYS_umask, mask));
}

const char* Name(Call call) {
  static const char* const kNames[] = {"open", "fstat", "lseek", "read", "write", "fsync", "rename", "unlink"};
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

using entrofs::testing_support::Call;
using entrofs::testing_support::Do;
using entrofs::testing_support::Move;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return Do(Call::kOpen, [&] { return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode)); });
}
ssize_t write(int fd, const void* data, size_t size) {
  static std::atomic<uint64_t> turn{0};
  std::vector<char> other;
  if (entrofs::testing_support::NextIsCorrupt(size)) {
    const char* bytes = static_cast<const char*>(data);
    other.assign(bytes, bytes + size);
    other[turn++ * 7919 % size] ^= 0x20;
  }
  const void* written = other.empty() ? data : other.data();
  return Move(Call::kWrite, size, [&](size_t count) { return ::syscall(SYS_write, fd, written, count); });
}
ssize_t pread(int fd, void* data, size_t size, off_t offset) {
  return Move(Call::kRead, size, [&](size_t count) { return ::syscall(SYS_pread64, fd, data, count, offset); });
}
int fstat(int fd, struct stat* info) noexcept {
  return Do(Call::kFstat, [&] { return static_cast<int>(::syscall(SYS_newfstatat, fd, "", info, AT_EMPTY_PATH)); });
}
off_t lseek(int fd, off_t offset, int whence) noexcept {
  return Do(Call::kLseek, [&] { return ::syscall(SYS_lseek, fd, offset, whence); });
}
int fsync(int fd) {
  return Do(Call::kFsync, [&] { return static_cast<int>(::syscall(SYS_fsync, fd)); });
}
int rename(const char* from, const char* to) noexcept {
  return Do(Call::kRename, [&] { return static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0)); });
}
mode_t umask(mode_t mask) noexcept { return entrofs::testing_support::Umask(mask); }
int unlink(const char* path) noexcept {
  return Do(Call::kUnlink, [&] { return static_cast<int>(::syscall(SYS_unlinkat, AT_FDCWD, path, 0)); });
}
}
