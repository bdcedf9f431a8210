#pragma once

#include <functional>

#include "base/result.h"
#include "fs/archive_tree.h"

// An engine is a way to show an archive's files through the kernel. Each has one call, of one form, in a file of its
// own.
namespace entrofs::fs {

// Called, from another thread, once the files are where they shall be.
using Announce = std::function<void()>;

// Shows the archive at options.mount_point and answers until the mount is gone or a signal ends it, which is no error.
// What is mounted is unmounted afterwards. An error before `announce` was called may mean that this machine cannot do
// it; nothing is mounted then.
using Engine = Status(const ServedArchive& archive, const Announce& announce);

Engine ServeFuse;    // engine_fuse.cc
Engine ServeErofs;   // engine_erofs.cc
Engine ServeMemory;  // engine_memory.cc

// By the engine that the options name; for kAuto by the first that works here.
Engine ServeArchive;

}  // namespace entrofs::fs
