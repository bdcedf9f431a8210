#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace entrofs::bench {

// Where a service says that it is ready, by the protocol of sd_notify(3).
class ReadySocket {
 public:
  static Result<ReadySocket> Open();
  ~ReadySocket();
  ReadySocket(ReadySocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)), name_(std::move(other.name_)) {}
  ReadySocket& operator=(ReadySocket&&) = delete;

  // For the environment of the service.
  std::string setting() const { return "NOTIFY_SOCKET=@" + name_; }
  // Whether READY=1 has come. Does not block.
  bool Poll();

 private:
  ReadySocket(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  int fd_;
  std::string name_;
  bool ready_ = false;
};

}  // namespace entrofs::bench
