#pragma once

#include "base/result.h"
#include "fs/mount_options.h"

// Mounting as one call.
namespace entrofs::fs {

// Mounts and serves until the file system is unmounted or the process is told to end (SIGTERM, SIGINT, SIGHUP). In the
// background case the caller's process returns as soon as the mount answers, and a child serves.
// A dead mount of ours at the same place is removed first. Errors: what the user needs to know, as one line.
Status Mount(const MountOptions& options);

}  // namespace entrofs::fs
