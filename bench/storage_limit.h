#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/result.h"

namespace entrofs::bench {

// This process, and what it starts from now on, reads from the disk that holds `path` no faster than a limit. The limit
// is one of a control group (io.max, or blkio of version 1) and goes with this object.
class StorageLimit {
 public:
  // kUnsupported where the system has no such control group, the process may not use it, or `path` is on no disk.
  static Result<StorageLimit> Set(const std::string& path, uint64_t bytes_per_second);
  ~StorageLimit();
  StorageLimit(StorageLimit&& other) noexcept
      : group_(std::exchange(other.group_, {})), parent_(std::move(other.parent_)) {}
  StorageLimit& operator=(StorageLimit&&) = delete;

 private:
  StorageLimit(std::string group, std::string parent) : group_(std::move(group)), parent_(std::move(parent)) {}
  std::string group_;
  std::string parent_;
};

}  // namespace entrofs::bench
