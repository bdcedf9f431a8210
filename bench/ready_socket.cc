#include "bench/ready_socket.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "base/file.h"

namespace entrofs::bench {

Result<ReadySocket> ReadySocket::Open() {
  static std::atomic<int> number{0};
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return SystemError("cannot open a socket", errno);
  // Abstract: the name starts with a zero byte and is in no folder.
  const std::string name = "entro-bench." + std::to_string(::getpid()) + "." + std::to_string(number++);
  ReadySocket ready(fd, name);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    return SystemError("cannot name a socket", errno);
  }
  return ready;
}

ReadySocket::~ReadySocket() {
  if (fd_ >= 0) ::close(fd_);
}

bool ReadySocket::Poll() {
  char text[512];
  for (ssize_t count; (count = ::recv(fd_, text, sizeof text, 0)) > 0;) {
    if (std::string_view(text, static_cast<size_t>(count)).find("READY=1") != std::string_view::npos) ready_ = true;
  }
  return ready_;
}

}  // namespace entrofs::bench
