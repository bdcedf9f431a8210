#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/thread_pool.h"
#include "codec/codec.h"
#include "packer/coding.h"
#include "packer/output_tree.h"
#include "packer/progress.h"
#include "packer/report.h"

namespace entrofs::packer {

struct PackOptions {
  CodecChoice codec = CodecChoice::kAuto;
  bool one_table_per_archive = false;
  uint32_t segment_bytes = codec::kDefaultSegmentBytes;
  bool verify = true;          // read everything back before the archive gets its name
  std::string quant = "none";  // only for the report
};

struct PackResult {
  Report report;
  uint64_t archive_bytes = 0;
};

// Writes `tree` as the archive `output_path`, replacing an existing one. The same tree and options give the same bytes
// for any pool. On an error nothing is left behind. Memory does not grow with the size of files. Blocks; must not be
// called from a job of the pool.
Result<PackResult> Pack(const OutputTree& tree, const std::string& output_path, const PackOptions& options,
                        ThreadPool& pool, Progress& progress);

enum class Rehearsal {
  kExact,     // to the byte
  kForetold,  // tensors whose bytes were counted are not read: their size is foretold to about a thousandth
};

// What Pack would make of `tree`, without writing it anywhere. options.verify does not count.
Result<PackResult> RehearsePacking(const OutputTree& tree, const PackOptions& options, Rehearsal rehearsal,
                                   ThreadPool& pool, Progress& progress);

}  // namespace entrofs::packer
