#pragma once

#include "base/result.h"
#include "base/thread_pool.h"
#include "packer/pack/pack.h"
#include "packer/quantize/planner.h"
#include "packer/source/checkpoint.h"
#include "packer/tree/output_tree.h"

namespace entrofs::packer::quantize {

// Larger checkpoints are not rehearsed: what the estimate leaves out weighs little there, and packing takes long.
inline constexpr uint64_t kMaxRehearsedBytes = 256 << 20;

// QuantizedTree, and where `options` name a rate or a size, held to it: packing a checkpoint of up to
// kMaxRehearsedBytes with `pack_options` is rehearsed, and the rate corrected by what the archive really takes. In
// small models scales, tables and checksums are several percent that no estimate foretells well. `precision` is that of
// the result.
Result<tree::OutputTree> FittedTree(const source::Checkpoint& checkpoint, const Options& options,
                                    const pack::PackOptions& pack_options, ThreadPool& pool,
                                    Precision precision = Precision::kMeasured);

}  // namespace entrofs::packer::quantize
