#pragma once

#include <cstdint>
#include <functional>

#include "base/result.h"
#include "fs/fuse_mount.h"
#include "fs/fuse_session.h"
#include "fs/mount_options.h"
#include "fs/served_tree.h"

// What all engines do with their tree: mount it by FUSE and answer until the end.
namespace entrofs::fs {

// Mounts `tree` and answers requests on `threads` threads until the mount is gone or a signal ends it, which is no
// error. Calls `bring_up` from another thread meanwhile, which may use the mount; when that fails, the mount ends, with
// its error. What is mounted is unmounted afterwards, unless mount.leaves_unmounting.
using BringUp = std::function<Status(const FuseSession&)>;
Status ServeTree(ServedTree& tree, const FuseMount& mount, size_t threads, const BringUp& bring_up);

// The mount of an archive at `folder`, as its options want it.
FuseMount FuseMountAt(const std::string& folder, const MountOptions& options);

// Waits until the kernel and the daemon have greeted each other, which makes the mount answer, and then sets how far
// the kernel reads ahead. Only root may set that; others do without.
Status Greet(const std::string& folder, uint32_t read_ahead_kb);

}  // namespace entrofs::fs
