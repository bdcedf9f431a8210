#pragma once

#include <string>

#include "base/result.h"
#include "base/thread_pool.h"
#include "packer/read/progress.h"
#include "view/view_reader.h"

namespace entrofs::packer::read {

// Writes all files and empty directories of the view below `target`, which must not exist or be an empty directory,
// with their permissions and times. Checks every checksum and the hash of each file. `target` appears when everything
// is written and on disk; on an error nothing is left behind. Blocks; must not be called from a job of the pool.
Status Extract(const view::ViewReader& view, const std::string& target, ThreadPool& pool, Progress& progress);

}  // namespace entrofs::packer::read
