#include "packer/quantize/trellis_plan.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>

#include "base/buffer.h"
#include "base/parallel.h"
#include "packer/pack/extent_plan.h"
#include "packer/quantize/arithmetic/code_store.h"
#include "packer/quantize/arithmetic/rate.h"
#include "packer/quantize/arithmetic/trellis.h"

namespace entrofs::packer::quantize {
namespace {

constexpr uint64_t kSampleStretch = 4096;
constexpr uint64_t kSampleStretches = 8;
static_assert(pack::kMeasuredAheadBytes > kSampleStretch * kSampleStretches);
// Codes of so many weights are kept in memory, of others in files.
constexpr uint64_t kMostKeptCodes = 64 << 20;

// Of a matrix: what one run of the quantizer rounds.
struct Stretch {
  Candidate* candidate;
  uint64_t begin;
  uint64_t end;
  uint64_t size() const { return end - begin; }
};

// Where the codes of a matrix go.
struct Codes {
  Buffer memory;
  std::shared_ptr<arithmetic::CodeStore> store;
};

// What the codes of a stretch add up to.
struct Outcome {
  codec::Histogram indices{};
  // Of codes less 128, with where their weights lie (in positions), and with themselves.
  int64_t product = 0;
  int64_t energy = 0;
  // Only of samples: the error, and the sum of what noise grows with, the squares of the weights' scales.
  tree::QuantizationError error;
  tree::QuantizationError output_error;  // where inputs are known
  double squared_scales = 0;
};

// A job's memory.
struct Workspace {
  std::vector<uint16_t> positions;
  std::vector<uint8_t> codes;
  arithmetic::TrellisQuantizer::Scratch paths;
};

bool IsSampled(const Candidate& candidate, Stretches stretches) {
  return stretches == Stretches::kSamples && candidate.shape.element_count() > pack::kMeasuredAheadBytes;
}

void AddStretches(Candidate& candidate, Stretches which, uint64_t segment_bytes, std::vector<Stretch>& stretches) {
  const uint64_t count = candidate.shape.element_count();
  if (IsSampled(candidate, which)) {
    for (uint64_t i = 0; i < kSampleStretches; ++i) {
      const uint64_t begin = i * (count - kSampleStretch) / (kSampleStretches - 1);
      stretches.push_back({&candidate, begin, begin + kSampleStretch});
    }
    return;
  }
  for (uint64_t begin = 0; begin < count; begin += segment_bytes) {
    stretches.push_back({&candidate, begin, std::min(begin + segment_bytes, count)});
  }
}

// Calls `use(affine, weights, count, at)` for the parts of rows in a stretch, from its element `at` on.
using PartVisitor =
    std::function<void(const arithmetic::Affine& affine, const float* weights, size_t count, uint64_t at)>;
Status VisitParts(const Stretch& stretch, const PartVisitor& use) {
  const Candidate& candidate = *stretch.candidate;
  const uint64_t columns = candidate.shape.columns;
  const uint64_t first_row = stretch.begin / columns;
  std::vector<arithmetic::Affine> affines((stretch.end - 1) / columns - first_row + 1);
  ENTROFS_RETURN_IF_ERROR(candidate.matrix->ReadAffines(first_row, affines.size(), affines.data()));
  auto cut = [&](const float* weights, size_t count, uint64_t first) {
    for (uint64_t at = first; at < first + count;) {
      const uint64_t row = at / columns, end = std::min((row + 1) * columns, first + count);
      use(affines[row - first_row], weights + (at - first), end - at, at - stretch.begin);
      at = end;
    }
  };
  return arithmetic::VisitWeights(*candidate.input->bytes, candidate.input->dtype, stretch.begin, stretch.end, cut);
}

Status FindPositionsOf(const Stretch& stretch, std::vector<uint16_t>& positions) {
  positions.resize(stretch.size());
  return VisitParts(stretch, [&](const arithmetic::Affine& affine, const float* weights, size_t count, uint64_t at) {
    arithmetic::FindPositions(affine.scale, weights, count, positions.data() + at);
  });
}

Status MeasureSample(const Stretch& stretch, const uint8_t* codes, Outcome& outcome) {
  const source::Dtype dtype = stretch.candidate->input->dtype;
  const std::vector<float>& moments = stretch.candidate->moments;
  std::vector<float> values;
  return VisitParts(stretch, [&](const arithmetic::Affine& affine, const float* weights, size_t count, uint64_t at) {
    outcome.error += arithmetic::MeasureError(affine, dtype, weights, codes + at, count);
    outcome.squared_scales += static_cast<double>(count) * affine.scale * affine.scale;
    if (moments.empty()) return;
    values.resize(count);
    arithmetic::Dequantize(affine, dtype, codes + at, count, values.data());
    for (size_t i = 0; i < count; ++i) {
      const double moment = moments[(stretch.begin + at + i) % moments.size()], weight = weights[i];
      const double difference = weight - values[i];
      outcome.output_error += {moment * weight * weight, moment * difference * difference};
    }
  });
}

Outcome Count(std::span<const uint16_t> positions, std::span<const uint8_t> codes) {
  Outcome outcome;
  arithmetic::CountIndices(codes, outcome.indices);
  for (size_t i = 0; i < codes.size(); ++i) {
    const int code = codes[i] - 128;
    outcome.product += int64_t{code} * (positions[i] - 128 * arithmetic::kPositionsPerCode);
    outcome.energy += int64_t{code} * code;
  }
  return outcome;
}

}  // namespace

codec::Histogram GuessIndices(const Candidate& candidate, double step) {
  const codec::Histogram codes = arithmetic::TryStep(candidate.values, step).codes;
  codec::Histogram indices{};
  // Index 64 + i stands for i and for i + 1/2 steps, at which two codes meet.
  for (size_t index = 0; index < 128; ++index) indices[index] = 3 * codes[index + 64] + codes[index + 65];
  return indices;
}

namespace {

void Learn(std::span<const Outcome> outcomes, double share, Candidate& candidate) {
  codec::Histogram indices{};
  int64_t product = 0, energy = 0;
  for (const Outcome& outcome : outcomes) {
    for (size_t index = 0; index < indices.size(); ++index) indices[index] += outcome.indices[index];
    product += outcome.product;
    energy += outcome.energy;
  }
  for (size_t index = 0; index < indices.size(); ++index) {
    candidate.codes[index] = static_cast<uint64_t>(std::llround(static_cast<double>(indices[index]) / share));
  }
  candidate.expected_indices = candidate.codes;
  if (energy > 0) {
    const double ratio = static_cast<double>(product) / (static_cast<double>(energy) * arithmetic::kPositionsPerCode);
    candidate.trellis_gain = 1 - arithmetic::kCentroidShare * (1 - candidate.trellis_gain * ratio);
  }
}

// What all of a matrix loses, as its samples do: where rows have larger steps there is more noise.
Status EstimateError(std::span<const Outcome> outcomes, double share, Candidate& candidate) {
  Outcome sampled;
  for (const Outcome& outcome : outcomes) {
    sampled.error += outcome.error;
    sampled.output_error += outcome.output_error;
    sampled.squared_scales += outcome.squared_scales;
  }
  std::vector<arithmetic::Affine> affines(candidate.shape.rows);
  ENTROFS_RETURN_IF_ERROR(candidate.matrix->ReadAffines(0, affines.size(), affines.data()));
  double squared_scales = 0;
  for (const arithmetic::Affine& affine : affines) squared_scales += static_cast<double>(affine.scale) * affine.scale;
  squared_scales *= static_cast<double>(candidate.shape.columns);
  auto of_all = [&](const tree::QuantizationError& error) {
    return tree::QuantizationError{error.signal_energy / share,
                                   error.noise_energy * (squared_scales / sampled.squared_scales)};
  };
  candidate.error = of_all(sampled.error);
  if (!candidate.moments.empty()) candidate.output_error = of_all(sampled.output_error);
  return OkStatus();
}

// Takes over what rounding the stretches, sorted by candidate, came to.
Status Conclude(Stretches which, std::span<const Stretch> stretches, std::span<const Outcome> outcomes,
                std::span<const Candidate> candidates, std::vector<Codes>& codes) {
  for (size_t first = 0; first < stretches.size();) {
    Candidate& candidate = *stretches[first].candidate;
    size_t end = first;
    uint64_t rounded = 0;
    while (end < stretches.size() && stretches[end].candidate == &candidate) rounded += stretches[end++].size();
    const std::span<const Outcome> own_outcomes = outcomes.subspan(first, end - first);
    const double share = static_cast<double>(rounded) / static_cast<double>(candidate.shape.element_count());
    if (which == Stretches::kSamples) ENTROFS_RETURN_IF_ERROR(EstimateError(own_outcomes, share, candidate));
    if (which == Stretches::kAll) candidate.output_error.reset();
    Learn(own_outcomes, share, candidate);
    first = end;
    Codes& own = codes[static_cast<size_t>(&candidate - candidates.data())];
    if (own.memory.size() > 0)
      candidate.matrix = candidate.matrix->WithCodes(tree::BufferInMemory(std::move(own.memory)));
    if (own.store) candidate.matrix = candidate.matrix->WithCodes(std::move(own.store));
  }
  return OkStatus();
}

}  // namespace

bool CanFollowTrellis(const Candidate& candidate) {
  return candidate.shape.columns % sizeof(uint32_t) == 0 &&
         candidate.shape.element_count() >= arithmetic::TrellisQuantizer::kLeastComingBack;
}

Status RoundOnTrellises(Stretches which, uint32_t segment_bytes, std::vector<Candidate>& candidates, ThreadPool& pool) {
  std::vector<Stretch> stretches;
  std::vector<arithmetic::TrellisQuantizer> quantizers;
  std::vector<Codes> codes(candidates.size());
  std::vector<size_t> number(candidates.size());  // of the candidate's quantizer
  uint64_t left = kMostKeptCodes;
  for (size_t i = 0; i < candidates.size(); ++i) {
    Candidate& candidate = candidates[i];
    if (!candidate.matrix || !candidate.follows_trellis) continue;
    number[i] = quantizers.size();
    quantizers.emplace_back(candidate.expected_indices);
    AddStretches(candidate, which, segment_bytes, stretches);
    if (IsSampled(candidate, which)) continue;
    const uint64_t count = candidate.shape.element_count();
    if (count <= left) {
      left -= count;
      codes[i].memory = Buffer(count);
    } else {
      ENTROFS_ASSIGN_OR_RETURN(codes[i].store, arithmetic::CodeStore::Create(count));
    }
  }
  std::vector<Outcome> outcomes(stretches.size());
  Reused<Workspace> idle;
  auto round = [&](size_t i) -> Status {
    const Stretch& stretch = stretches[i];
    const auto owner = static_cast<size_t>(stretch.candidate - candidates.data());
    std::unique_ptr<Workspace> workspace = idle.Take();
    Status status = FindPositionsOf(stretch, workspace->positions);
    if (!status) return std::move(status.error()).WithContext(stretch.candidate->input->name);
    workspace->codes.resize(stretch.size());
    const bool comes_back = stretch.candidate->shape.element_count() < pack::kSmallTensorBytes;
    quantizers[number[owner]].Round(workspace->positions, comes_back, workspace->codes.data(), workspace->paths);
    outcomes[i] = Count(workspace->positions, workspace->codes);
    if (which == Stretches::kSamples) {
      ENTROFS_RETURN_IF_ERROR(MeasureSample(stretch, workspace->codes.data(), outcomes[i]));
    }
    if (codes[owner].memory.size() > 0) {
      std::copy(workspace->codes.begin(), workspace->codes.end(), codes[owner].memory.data() + stretch.begin);
    } else if (codes[owner].store) {
      ENTROFS_RETURN_IF_ERROR(codes[owner].store->Write(stretch.begin, workspace->codes));
    }
    idle.Give(std::move(workspace));
    return OkStatus();
  };
  ENTROFS_RETURN_IF_ERROR(ParallelForStatus(pool, stretches.size(), round));
  return Conclude(which, stretches, outcomes, candidates, codes);
}

}  // namespace entrofs::packer::quantize
