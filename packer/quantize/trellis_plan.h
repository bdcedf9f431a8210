#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "packer/quantize/candidate.h"

// Rounds the matrices of a plan along trellises. On the pool and the calling thread; the same for any number of
// threads. Errors are those of reading, with the tensor's name, and of a full disk.
namespace entrofs::packer::quantize {

// Whether the bytes of a quantized matrix are its codes and nothing else, and enough of them.
bool CanFollowTrellis(const Candidate& candidate);

// What indices to expect before anything was rounded, at two codes to the step.
codec::Histogram GuessIndices(const Candidate& candidate, double step);

// What to round.
enum class Stretches {
  kSamples,  // evenly spread parts of matrices that are not read before they are packed, all of others
  kAll,
};

// For every candidate that follows a trellis and has a matrix: `codes` becomes the counts of the trellis' indices, and
// what was learned is kept for the next time: which indices to expect, and at what gain codes meet the weights. The
// codes of matrices that were rounded as a whole are given to them. Of samples, the errors of all are estimated too. A
// trellis begins anew every `segment_bytes` bytes; in matrices below kSmallTensorBytes it comes back to where it began,
// so that an extent may hold several.
Status RoundOnTrellises(Stretches stretches, uint32_t segment_bytes, std::vector<Candidate>& candidates,
                        ThreadPool& pool);

}  // namespace entrofs::packer::quantize
