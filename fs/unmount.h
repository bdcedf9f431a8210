#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace entrofs::fs {

// Unmounts what Mount mounted at exactly that folder; `lazy` detaches it although files are open. As root by umount(2),
// otherwise through fusermount3. kNotFound when no archive is mounted there.
Status Unmount(const std::string& mount_point, bool lazy);

// Detaches the mount at `path` if it is the one of that MountIdAt.
void DetachMount(const std::string& path, std::optional<uint64_t> id);

// Detaches mounts of ours at `mount_point` (absolute) whose daemon has died, and the FUSE mounts that EROFS mounts
// there have left behind. Others are left alone.
Status RemoveDeadMounts(const std::string& mount_point);

}  // namespace entrofs::fs
