#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "packer/pack/extent_input.h"
#include "packer/pack/measure.h"

namespace entrofs::packer::pack {

// An input and, when it is a small one, what it was measured to hold.
struct PlannedExtent {
  ExtentInput input;
  std::optional<Measurement> measurement;
};

// Tensors below this size may be run together with neighbours of their type, so that a model of many small ones does
// not pay for an extent each.
inline constexpr uint64_t kSmallTensorBytes = 16 << 10;
inline constexpr uint64_t kMaxRunBytes = kMeasuredAtOnceBytes;
// Tensors above this size are left to be measured when their turn comes.
inline constexpr uint64_t kMeasuredAheadBytes = 128 << 10;
// More inputs than this are better planned in several calls: a measured one takes up to 48 KiB.
inline constexpr size_t kMaxPlannedExtents = 256;

// Measures tensors of up to kMeasuredAheadBytes and joins small neighbours where that takes fewer bytes than an extent
// each: scales with scales, not with what is spread otherwise. Units as CutIntoUnits gives them. The result does not
// depend on the number of threads. Errors are those of reading.
Result<std::vector<PlannedExtent>> PlanExtents(std::span<const ExtentInput> inputs, uint32_t segment_bytes,
                                               ThreadPool& pool);

}  // namespace entrofs::packer::pack
