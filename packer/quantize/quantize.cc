#include "packer/quantize/quantize.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/bytes.h"
#include "packer/quantize/eligibility.h"
#include "packer/quantize/float_formats.h"
#include "packer/quantize/layout.h"
#include "packer/quantize/matrix.h"
#include "packer/quantize/parallel.h"

namespace entrofs::packer::quantize {
namespace {

// One job's share of a matrix. A multiple of every run length that has to be kept whole.
constexpr uint64_t kElementsPerJob = 1 << 20;
static_assert(kElementsPerJob % kVisitElements == 0);

// A selected tensor on its way.
struct Candidate {
  size_t index = 0;  // among the inputs
  const OutputTensor* input = nullptr;
  QuantizedMatrix::Shape shape;
  std::vector<Range> ranges;  // one for the matrix, or one per row
  std::shared_ptr<const QuantizedMatrix> matrix;
  std::optional<Layout> layout;
  std::vector<QuantizationError> errors;  // one per job
};

struct Job {
  Candidate* candidate;
  size_t number;  // of the jobs of this candidate
  uint64_t begin;
  uint64_t end;
};

// Cuts the matrices into jobs of about kElementsPerJob, of whole rows where rows have ranges of their own.
std::vector<Job> CutIntoJobs(std::vector<Candidate>& candidates, bool whole_rows) {
  std::vector<Job> jobs;
  for (Candidate& candidate : candidates) {
    uint64_t columns = candidate.shape.columns;
    uint64_t step = whole_rows ? std::max<uint64_t>(1, kElementsPerJob / columns) * columns : kElementsPerJob;
    uint64_t count = candidate.shape.element_count();
    size_t number = 0;
    for (uint64_t begin = 0; begin < count; begin += step) {
      jobs.push_back({&candidate, number++, begin, std::min(begin + step, count)});
    }
    candidate.errors.resize(number);
  }
  return jobs;
}

Status InContext(const Candidate& candidate, Status status) {
  return status ? OkStatus() : Status(std::move(status.error()).WithContext(candidate.input->name));
}

bool HasRangePerRow(const Options& options, const Candidate& candidate) {
  if (options.scheme == Scheme::kInt8Channel) return true;
  return options.scheme == Scheme::kUint4Group && candidate.shape.columns % options.group_size != 0;
}

// Fills the ranges of all candidates.
Status FindRanges(const Options& options, std::vector<Candidate>& candidates, ThreadPool& pool) {
  std::vector<Job> jobs = CutIntoJobs(candidates, true);
  std::vector<Range> whole(jobs.size());
  for (Candidate& candidate : candidates) {
    candidate.ranges.resize(HasRangePerRow(options, candidate) ? candidate.shape.rows : 1);
  }
  ENTROFS_RETURN_IF_ERROR(ParallelForStatus(pool, jobs.size(), [&](size_t i) {
    const Job& job = jobs[i];
    Candidate& candidate = *job.candidate;
    const uint64_t columns = candidate.shape.columns;
    auto include = [&](const float* weights, size_t count, uint64_t first) {
      if (candidate.ranges.size() == 1) return whole[i].Include(weights, count);
      for (uint64_t at = first; at < first + count;) {
        uint64_t row_end = std::min((at / columns + 1) * columns, first + count);
        candidate.ranges[at / columns].Include(weights + (at - first), row_end - at);
        at = row_end;
      }
    };
    return InContext(candidate,
                     VisitWeights(*candidate.input->bytes, candidate.input->dtype, job.begin, job.end, include));
  }));
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (jobs[i].candidate->ranges.size() == 1) jobs[i].candidate->ranges[0].Include(whole[i]);
  }
  return OkStatus();
}

Affine FitRange(const Options& options, const Range& range, Dtype dtype) {
  switch (options.scheme) {
    case Scheme::kUint8:
      return FitAsymmetric(range, 8, dtype);
    case Scheme::kUint4:
      return FitAsymmetric(range, 4, dtype);
    case Scheme::kInt8Tensor:
    case Scheme::kInt8Channel:
      return FitSymmetric(range, 8, dtype);
    case Scheme::kUint4Group:
      break;
  }
  return options.symmetric ? FitSymmetric(range, 4, dtype) : FitAsymmetric(range, 4, dtype);
}

Layout LayoutOf(const Options& options, const Candidate& candidate) {
  switch (options.scheme) {
    case Scheme::kUint8:
      return {Layout::Format::kNaive, 8, false, 0};
    case Scheme::kInt8Tensor:
    case Scheme::kInt8Channel:
      return {Layout::Format::kPacked, 8, true, 0};
    case Scheme::kUint4:
    case Scheme::kUint4Group:
      break;
  }
  const bool is_grouped = options.scheme == Scheme::kUint4Group;
  const uint64_t group_size = is_grouped ? options.group_size : 128;
  const bool fits = candidate.shape.columns % group_size == 0;
  return {Layout::Format::kPacked, 4, is_grouped && options.symmetric, fits ? group_size : 0};
}

// Chooses parameters from the ranges. Returns why the tensor cannot be quantized, or an empty text.
std::string Fit(const Options& options, Candidate& candidate) {
  const Dtype dtype = candidate.input->dtype;
  Range all;
  for (const Range& range : candidate.ranges) all.Include(range);
  if (!all.finite) return "has NaN or infinite values, left as it is";
  if (!IsRepresentable(FitRange(options, all, dtype), dtype)) return "its values are too large, left as it is";

  candidate.layout = LayoutOf(options, candidate);
  const int bits = candidate.layout->bits;
  if (options.scheme == Scheme::kUint4Group && candidate.layout->group_size != 0) {
    auto fit = [options, dtype](const float* weights, size_t count) {
      Range range;
      range.Include(weights, count);
      return FitRange(options, range, dtype);
    };
    candidate.matrix = std::make_shared<QuantizedMatrix>(candidate.input->bytes, dtype, candidate.shape, bits,
                                                         candidate.layout->group_size, fit);
    return {};
  }
  std::vector<Affine> affines;
  affines.reserve(candidate.ranges.size());
  for (const Range& range : candidate.ranges) affines.push_back(FitRange(options, range, dtype));
  const bool per_row = HasRangePerRow(options, candidate);
  const uint64_t run_length = per_row ? candidate.shape.columns : candidate.shape.element_count();
  candidate.matrix = std::make_shared<QuantizedMatrix>(candidate.input->bytes, dtype, candidate.shape, bits, run_length,
                                                       std::move(affines));
  candidate.ranges = {};
  return {};
}

Status MeasureErrors(std::vector<Candidate>& candidates, ThreadPool& pool) {
  std::vector<Job> jobs = CutIntoJobs(candidates, false);
  return ParallelForStatus(pool, jobs.size(), [&](size_t i) -> Status {
    const Job& job = jobs[i];
    if (!job.candidate->matrix) return OkStatus();
    Result<QuantizationError> error = job.candidate->matrix->Measure(job.begin, job.end, nullptr);
    if (!error) return std::move(error.error()).WithContext(job.candidate->input->name);
    job.candidate->errors[job.number] = *error;
    return OkStatus();
  });
}

Status CheckOptions(const Options& options) {
  if (options.group_size == 32 || options.group_size == 64 || options.group_size == 128) return OkStatus();
  return Error{ErrorCode::kInvalidArgument,
               "group size: " + std::to_string(options.group_size) + " is not 32, 64 or 128"};
}

Status CheckNames(const Plan& plan) {
  std::set<std::string_view> names;
  for (const TensorPlan& tensor : plan.tensors) {
    for (const OutputTensor& output : tensor.outputs) {
      if (names.insert(output.name).second) continue;
      return Error{ErrorCode::kInvalidArgument, output.name + ": quantizing would make a second tensor of this name"};
    }
  }
  return OkStatus();
}

}  // namespace

namespace {

constexpr std::array<std::string_view, kSchemeCount> kSchemeNames = {"uint8", "uint4", "int8-tensor", "int8-channel",
                                                                     "uint4-group"};

}  // namespace

std::string_view Name(Scheme scheme) { return kSchemeNames[static_cast<size_t>(scheme)]; }

std::optional<Scheme> ParseScheme(std::string_view name) {
  auto found = std::find(kSchemeNames.begin(), kSchemeNames.end(), name);
  if (found == kSchemeNames.end()) return std::nullopt;
  return static_cast<Scheme>(found - kSchemeNames.begin());
}

Result<Plan> PlanQuantization(const Options& options, std::span<const OutputTensor> tensors, ThreadPool& pool) {
  ENTROFS_RETURN_IF_ERROR(CheckOptions(options));
  std::vector<bool> selected = SelectTensors(tensors, options.include, options.exclude);
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!selected[i]) continue;
    Candidate& candidate = candidates.emplace_back();
    candidate.index = i;
    candidate.input = &tensors[i];
    candidate.shape = {tensors[i].shape[0], tensors[i].shape[1]};
  }
  ENTROFS_RETURN_IF_ERROR(FindRanges(options, candidates, pool));

  Plan plan;
  for (Candidate& candidate : candidates) {
    std::string problem = Fit(options, candidate);
    if (!problem.empty()) plan.warnings.push_back(candidate.input->name + ": " + problem);
  }
  ENTROFS_RETURN_IF_ERROR(MeasureErrors(candidates, pool));

  for (const OutputTensor& tensor : tensors) plan.tensors.push_back({{tensor}, std::nullopt});
  for (Candidate& candidate : candidates) {
    if (!candidate.matrix) continue;
    QuantizationError error;
    for (const QuantizationError& part : candidate.errors) error += part;
    plan.error += error;
    std::vector<OutputTensor> outputs = LayOut(*candidate.input, *candidate.layout, candidate.matrix);
    for (OutputTensor& output : outputs) output.scheme = Name(options.scheme);
    outputs.front().error = error;
    plan.tensors[candidate.index] = {std::move(outputs), candidate.layout};
  }
  ENTROFS_RETURN_IF_ERROR(CheckNames(plan));
  return plan;
}

}  // namespace entrofs::packer::quantize
