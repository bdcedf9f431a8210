#pragma once

#include <string_view>

#include "base/result.h"
#include "fs/mount.h"

namespace entrofs::fs {

// Applies the value of one `-o`: names and name=value pairs between commas, ours ("cache_size=1G", "threads=4") and
// those mount(8) and fstab bring along ("ro", "nofail", "x-systemd.automount"). kInvalidArgument names what is unknown.
Status ApplyMountOptions(std::string_view text, MountOptions& options);

// For the help: the names above, one line each.
std::string_view MountOptionsHelp();

}  // namespace entrofs::fs
