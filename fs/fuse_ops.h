#pragma once

#include "fs/fuse_api.h"

namespace entrofs::fs {

// Callbacks for fuse_session_new, whose userdata must be a ServedTree*. Each unpacks its request, makes one call and
// replies exactly once; exceptions become an error reply. A failed read is logged with one line.
const fuse_lowlevel_ops& FuseOperations();

}  // namespace entrofs::fs
