#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "packer/quantize/arithmetic/calibration.h"
#include "packer/quantize/candidate.h"
#include "packer/quantize/options.h"

namespace entrofs::packer::quantize {

// Gives every candidate whose `form` is set a matrix, with steps chosen so that all together take `target_bits` in
// the archive, and measures them (MeasureErrors). Requires: ranges per row and value histograms. Where 8-bit codes
// cannot take that many bits, or not that few, it comes as near as it can; returns the bits they take. With a
// calibration (may be null), weights of which it has the Hessian are rounded with error feedback, one matrix at a time:
// that takes memory for the matrix and for the Hessian, and such are always measured.
// Candidates that follow a trellis have it begin anew every `segment_bytes` codes; none has a Hessian then.
Result<double> FitToRate(double target_bits, const arithmetic::Calibration* calibration, uint32_t segment_bytes,
                         Precision precision, std::vector<Candidate>& candidates, ThreadPool& pool);

}  // namespace entrofs::packer::quantize
