#pragma once

#include <cstdint>
#include <functional>

#include "tests/support/sanitizers.h"

namespace entrofs::testing_support {

// Runs `body` in a child process and returns by how many bytes the child's peak resident memory grew, or -1 when it
// failed (`body` returned false or crashed). Sanitizers have their own memory; see kMeasuresMemory.
int64_t PeakMemoryGrowth(const std::function<bool()>& body);

}  // namespace entrofs::testing_support
