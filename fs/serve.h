#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "fs/fuse_ops.h"

namespace entrofs::fs {

inline constexpr uint32_t kFuseReadAheadKb = 2048;

// Called, from another thread, once the files are where they shall be.
using Announce = std::function<void()>;

// Mounts FUSE at context.folder, the mount point, and answers requests until the mount is gone or a signal ends it.
// What is mounted is unmounted afterwards. A signal is no error.
Status ServeFuse(FuseContext& context, const Announce& announce);

// The same, and files are decoded into memory that the kernel reads by itself; see decoded_files.h. An error before
// `announce` was called may mean that this machine cannot do it; nothing is mounted then.
Status ServeMemory(FuseContext& context, const Announce& announce);

// As ServeFuse, but the mount point shows an EROFS over that FUSE mount, which lies in a plain folder. Sets
// context.folder and context.image. An error before `announce` was called may mean that this machine cannot do it;
// nothing is mounted then.
Status ServeErofs(FuseContext& context, const Announce& announce);

}  // namespace entrofs::fs
