#include "fs/daemon.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/bytes.h"
#include "base/file.h"
#include "base/process_setup.h"

namespace entrofs::fs {
namespace {

// What the child reports: one byte kReady, or an error code and its message.
constexpr uint8_t kReady = 0xff;

// Everything the child writes until it closes the pipe or ends.
std::string ReadAll(int fd) {
  std::string text;
  char bytes[512];
  for (;;) {
    ssize_t n = ::read(fd, bytes, sizeof bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(bytes, static_cast<size_t>(n));
  }
}

void WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace

Result<Daemon> Daemon::Fork() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return SystemError("cannot make a pipe", errno);
  pid_t child = ::fork();
  if (child < 0) return SystemError("cannot start a process", errno);
  if (child == 0) {
    ::close(ends[0]);
    CloseInheritedDescriptors();
    return Daemon(false, ends[1]);
  }
  ::close(ends[1]);
  std::string report = ReadAll(ends[0]);
  ::close(ends[0]);
  if (report.empty()) return Error{ErrorCode::kIo, "the background process ended unexpectedly"};
  auto code = static_cast<uint8_t>(report[0]);
  if (code != kReady) return Error{static_cast<ErrorCode>(code), report.substr(1)};
  return Daemon(true, -1);
}

void Daemon::Ready() { Report(std::string(1, static_cast<char>(kReady))); }

void Daemon::Failed(const Error& error) { Report(static_cast<char>(error.code) + error.message); }

void Daemon::Report(const std::string& text) {
  if (pipe_ < 0) return;  // the parent has gone already
  (void)::setsid();
  [[maybe_unused]] int moved = ::chdir("/");  // keeps no folder busy
  int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; null >= 0 && fd <= 2; ++fd) (void)::dup2(null, fd);
  if (null > 2) ::close(null);
  WriteAll(pipe_, text);
  ::close(pipe_);
  pipe_ = -1;
}

}  // namespace entrofs::fs
