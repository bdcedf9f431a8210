#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace entrofs::fs {

// How a FUSE mount is made.
struct FuseMount {
  std::string folder;  // absolute
  uint32_t max_read_bytes = 1 << 20;
  bool allow_other = false;
  std::vector<std::string> kernel_options;  // "noexec", "dirsync"
  bool with_passthrough = false;            // root only; see passthrough.h
  bool leaves_unmounting = false;           // to the caller, also when the session ends
};

}  // namespace entrofs::fs
