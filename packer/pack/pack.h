#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/thread_pool.h"
#include "packer/pack/pack_options.h"
#include "packer/read/progress.h"
#include "packer/report/report.h"
#include "packer/tree/output_tree.h"

namespace entrofs::packer::pack {

struct PackResult {
  report::Report report;
  uint64_t archive_bytes = 0;
};

// Writes `tree` as the archive `output_path`, replacing an existing one. The same tree and options give the same bytes
// for any pool. On an error nothing is left behind. Memory does not grow with the size of files. Blocks; must not be
// called from a job of the pool.
Result<PackResult> Pack(const tree::OutputTree& tree, const std::string& output_path, const PackOptions& options,
                        ThreadPool& pool, read::Progress& progress);

enum class Rehearsal {
  kExact,     // to the byte
  kForetold,  // tensors whose bytes were counted are not read: their size is foretold to about a thousandth
};

// What Pack would make of `tree`, without writing it anywhere. options.verify does not count.
Result<PackResult> RehearsePacking(const tree::OutputTree& tree, const PackOptions& options, Rehearsal rehearsal,
                                   ThreadPool& pool, read::Progress& progress);

}  // namespace entrofs::packer::pack
