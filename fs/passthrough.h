#pragma once

#include <cstdint>

#include "base/result.h"
#include "fs/fuse_api.h"
#include "fs/fuse_mount.h"

// FUSE passthrough (Linux 6.9): the kernel reads a file of another file system in the place of one of ours. libfuse
// knows of it from 3.17 on; here is what older ones lack.
namespace entrofs::fs {

// In the place of fuse_session_mount: mounts and asks the kernel for passthrough when it first greets us.
// Root only. Whether the kernel agreed shows when AddBacking is tried. The caller unmounts.
Status MountWithPassthrough(fuse_session* session, const FuseMount& mount);

// Makes the kernel know an open file that it shall read. kUnsupported where it cannot.
Result<uint32_t> AddBacking(int session_fd, int fd);
// Files opened with that backing keep it.
void RemoveBacking(int session_fd, uint32_t backing_id);

// In the place of fuse_reply_open, for a file whose reads and mappings go to that backing from now on. All who have a
// file open at a time need the same. Result as that of fuse_reply_open: -ENOENT when nobody waits any longer.
int ReplyOpenWithBacking(fuse_req_t req, uint32_t backing_id);

}  // namespace entrofs::fs
