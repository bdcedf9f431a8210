#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace entrofs::testing_support {

// Why a test is skipped when Make gives nothing.
inline constexpr char kNeedsMemoryGroup[] =
    "may not make a control group with a memory limit: run as root where /sys/fs/cgroup can be written";

// A control group of the kernel with a memory limit, of version 2 or 1. Goes with this object, when nobody is in it.
class MemoryGroup {
 public:
  // Nothing when this user or machine cannot make one.
  static std::optional<MemoryGroup> Make(uint64_t limit_bytes);
  ~MemoryGroup();
  MemoryGroup(MemoryGroup&& other) noexcept : folder_(std::move(other.folder_)) { other.folder_.clear(); }

  // Moves a process into it (0: the calling one). What it has allocated before stays where it was counted.
  bool Add(int pid) const;

 private:
  explicit MemoryGroup(std::string folder) : folder_(std::move(folder)) {}
  std::string folder_;
};

}  // namespace entrofs::testing_support
