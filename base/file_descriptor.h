#pragma once

#include <unistd.h>

#include <utility>

namespace entrofs {

// Closes what it holds. Can be made before the descriptor is, so that nothing can fail between opening and owning.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      if (fd_ >= 0) ::close(fd_);
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  // Negative when it holds none.
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  // The descriptor is the caller's now.
  int release() { return std::exchange(fd_, -1); }
  // Requires: holds none yet.
  void set(int fd) { fd_ = fd; }

 private:
  int fd_ = -1;
};

}  // namespace entrofs
