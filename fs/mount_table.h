#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// What the kernel says is mounted.
namespace entrofs::fs {

inline constexpr std::string_view kFuseType = "fuse.entrofs";
inline constexpr std::string_view kErofsType = "erofs";

struct MountEntry {
  std::string mount_point;
  std::string type;    // "fuse.entrofs"
  std::string source;  // "entrofs"
};

// The uppermost mount at exactly that absolute path.
std::optional<MountEntry> FindMount(const std::string& mount_point);
// The same in the text of a mountinfo file (proc(5)).
std::optional<MountEntry> FindMountIn(const std::string& mountinfo, const std::string& mount_point);

// A number of the mount that covers `path`, which no other mount ever gets; nullopt where the kernel has none (before
// Linux 6.8) or nothing is there. Asks no daemon.
std::optional<uint64_t> MountIdAt(const std::string& path);

// The absolute path of a folder without symbolic links. Works for a mount point whose daemon died, too, where
// realpath(3) fails.
std::string ResolveMountPoint(const std::string& path);

}  // namespace entrofs::fs
