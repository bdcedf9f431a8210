#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

// Mounting an EROFS image that is an ordinary file, by mount(2). Needs root and a kernel that can.
namespace entrofs::fs {

struct ErofsMount {
  std::string image_path;   // shown as the source of the mount
  std::string mount_point;  // absolute
  uint32_t read_ahead_kb = 0;
  bool noexec = false;
};

// Mounts it and returns its MountIdAt. The kernel reads the image meanwhile, so whoever serves it must run on other
// threads. kUnsupported says in one line what this kernel lacks; nothing is mounted then.
Result<uint64_t> MountErofs(const ErofsMount& mount);

}  // namespace entrofs::fs
