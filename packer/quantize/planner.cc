#include "packer/quantize/planner.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>
#include <set>

#include "base/portable_math.h"
#include "base/units.h"
#include "packer/quantize/archive_estimate.h"
#include "packer/quantize/candidate.h"
#include "packer/quantize/forms/form.h"
#include "packer/quantize/forms/values.h"
#include "packer/quantize/rate_plan.h"
#include "packer/quantize/selection/eligibility.h"
#include "packer/quantize/trellis_plan.h"

namespace entrofs::packer::quantize {
namespace {

// Of the rates of trellises: what is asked for on the way to a rate.
constexpr double kSlack = 0.1;
// Matrices whose largest value is so many times that of most others are left out of a shared rate.
constexpr float kMostTimesUsual = 1e5f;
// How far from the bits asked for is worth a warning.
constexpr double kRateTolerance = 0.005;

bool HasOneRange(Scheme scheme) {
  return scheme == Scheme::kUint8 || scheme == Scheme::kUint4 || scheme == Scheme::kInt8Tensor;
}

bool HasRangePerRow(const Options& options, const Candidate& candidate) {
  if (options.scheme == Scheme::kInt8Channel || options.scheme == Scheme::kRate) return true;
  return options.scheme == Scheme::kUint4Group && candidate.shape.columns % options.group_size != 0;
}

arithmetic::Affine FitRange(const Options& options, const arithmetic::ValueRange& range, source::Dtype dtype) {
  switch (options.scheme) {
    case Scheme::kUint8:
      return arithmetic::FitAsymmetric(range, 8, dtype);
    case Scheme::kUint4:
      return arithmetic::FitAsymmetric(range, 4, dtype);
    case Scheme::kInt8Tensor:
    case Scheme::kInt8Channel:
    case Scheme::kRate:
      return arithmetic::FitSymmetric(range, 8, dtype);
    case Scheme::kUint4Group:
      break;
  }
  return options.symmetric ? arithmetic::FitSymmetric(range, 4, dtype) : arithmetic::FitAsymmetric(range, 4, dtype);
}

forms::Form FormOf(const Options& options, const Candidate& candidate) {
  const bool is_four_bits = options.scheme == Scheme::kUint4 || options.scheme == Scheme::kUint4Group;
  const bool is_symmetric = !(options.scheme == Scheme::kUint8 || is_four_bits) || options.symmetric;
  if (options.runtime == Runtime::kMlx) {
    return {forms::Form::Format::kMlx, is_four_bits ? 4 : 8, is_symmetric, options.group_size};
  }
  if (options.runtime == Runtime::kGptq) {
    return {forms::Form::Format::kGptq, is_four_bits ? 4 : 8, true, is_four_bits ? options.group_size : 0};
  }
  switch (options.scheme) {
    case Scheme::kUint8:
      return {forms::Form::Format::kNaive, 8, false, 0};
    case Scheme::kInt8Tensor:
    case Scheme::kInt8Channel:
    case Scheme::kRate:
      return {forms::Form::Format::kPacked, 8, true, 0};
    case Scheme::kUint4:
    case Scheme::kUint4Group:
      break;
  }
  const bool is_grouped = options.scheme == Scheme::kUint4Group;
  const uint64_t group_size = is_grouped ? options.group_size : 128;
  const bool fits = candidate.shape.columns % group_size == 0;
  return {forms::Form::Format::kPacked, 4, is_grouped && options.symmetric, fits ? group_size : 0};
}

// Why a matrix cannot be written in the runtime's form, or an empty text.
std::string FormProblemOf(const Options& options, const Candidate& candidate) {
  if (options.runtime == Runtime::kCompressedTensors) return {};
  const forms::Form form = FormOf(options, candidate);
  const uint64_t columns = candidate.shape.columns, codes_per_word = 32 / static_cast<uint64_t>(form.bits);
  if (form.group_size != 0 && columns % form.group_size != 0) {
    return "its rows of " + std::to_string(columns) + " weights are not whole groups of " +
           std::to_string(form.group_size) + ", left as it is";
  }
  const bool is_whole =
      columns % codes_per_word == 0 && (options.runtime == Runtime::kMlx || candidate.shape.rows % codes_per_word == 0);
  if (!is_whole) return "its shape does not fill whole words, left as it is";
  return {};
}

// Why a matrix cannot be quantized, or an empty text.
std::string ProblemOf(const Options& options, const Candidate& candidate) {
  const source::Dtype dtype = candidate.input->dtype;
  const arithmetic::ValueRange range = candidate.WholeRange();
  if (!range.finite) return "has NaN or infinite values, left as it is";
  if (!arithmetic::IsRepresentable(FitRange(options, range, dtype), dtype))
    return "its values are too large, left as it is";
  return FormProblemOf(options, candidate);
}

// Chooses parameters from the ranges, or leaves them to be fitted group by group.
std::shared_ptr<const arithmetic::QuantizedMatrix> Fit(const Options& options, const Candidate& candidate) {
  const source::Dtype dtype = candidate.input->dtype;
  const int bits = candidate.form->bits;
  if (options.scheme == Scheme::kUint4Group && candidate.form->group_size != 0) {
    auto fit = [options, dtype](const float* weights, size_t count) {
      arithmetic::ValueRange range;
      range.Include(weights, count);
      return FitRange(options, range, dtype);
    };
    return std::make_shared<arithmetic::QuantizedMatrix>(candidate.input->bytes, dtype, candidate.shape, bits,
                                                         candidate.form->group_size, fit);
  }
  std::vector<arithmetic::Affine> affines;
  affines.reserve(candidate.ranges.size());
  for (const arithmetic::ValueRange& range : candidate.ranges) affines.push_back(FitRange(options, range, dtype));
  const bool per_row = HasRangePerRow(options, candidate);
  const uint64_t run_length = per_row ? candidate.shape.columns : candidate.shape.element_count();
  return std::make_shared<arithmetic::QuantizedMatrix>(candidate.input->bytes, dtype, candidate.shape, bits, run_length,
                                                       std::move(affines));
}

// About what the archive takes for what is not quantized.
Result<double> KeptBytes(const Options& options, const std::vector<Candidate>& candidates,
                         std::span<const tree::OutputTensor> tensors, ThreadPool& pool) {
  std::vector<bool> quantized(tensors.size());
  for (const Candidate& candidate : candidates) quantized[candidate.index] = candidate.form.has_value();
  double kept_bytes = options.other_bytes;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (quantized[i]) continue;
    Result<double> bytes = EstimateArchiveBytes(*tensors[i].bytes, tensors[i].dtype, pool);
    if (!bytes) return std::move(bytes.error()).WithContext(tensors[i].name);
    kept_bytes += *bytes;
  }
  return kept_bytes;
}

// What the quantized weights may take so that the archive has the size asked for.
Result<double> BitsLeft(uint64_t archive_bytes, double kept_bytes) {
  const double left = static_cast<double>(archive_bytes) - kept_bytes;
  if (left > 0) return 8 * left;
  return Error{ErrorCode::kInvalidArgument, "a size of " + FormatBytes(archive_bytes) +
                                                " is too small: what is not quantized takes " +
                                                FormatBytes(static_cast<uint64_t>(kept_bytes)) + " already"};
}

// Gives all candidates with a form their matrices and error figures.
Status FitRanges(const Options& options, std::vector<Candidate>& candidates, ThreadPool& pool) {
  for (Candidate& candidate : candidates) {
    if (candidate.form) candidate.matrix = Fit(options, candidate);
  }
  return MeasureErrors(candidates, pool);
}

// Fills importance and moments of the matrices whose inputs are known; the others count as the geometric mean of these.
Status ReadCalibration(const arithmetic::Calibration& calibration, std::vector<Candidate>& candidates,
                       std::vector<std::string>& warnings) {
  double log_sum = 0;
  size_t known = 0;
  for (Candidate& candidate : candidates) {
    const std::string& name = candidate.input->name;
    if (!calibration.Knows(name)) continue;
    ENTROFS_ASSIGN_OR_RETURN(candidate.moments, calibration.Moments(name, candidate.shape.columns));
    const double sum = std::accumulate(candidate.moments.begin(), candidate.moments.end(), 0.0);
    candidate.importance = sum / static_cast<double>(candidate.shape.columns);
    // A layer that got nothing but zeros.
    if (candidate.importance == 0) candidate.importance = std::numeric_limits<float>::min();
    log_sum += Log2(candidate.importance);
    ++known;
  }
  if (known == 0 && !candidates.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "the calibration knows none of the tensors to quantize, such as " + candidates.front().input->name};
  }
  for (Candidate& candidate : candidates) {
    if (!candidate.moments.empty()) continue;
    candidate.importance = Exp2(log_sum / static_cast<double>(known));
    warnings.push_back(candidate.input->name + ": not in the calibration, counted like the others");
  }
  return OkStatus();
}

Status CheckNames(const Plan& plan) {
  std::set<std::string_view> names;
  for (const forms::TensorPlan& tensor : plan.tensors) {
    for (const tree::OutputTensor& output : tensor.outputs) {
      if (names.insert(output.name).second) continue;
      return Error{ErrorCode::kInvalidArgument, output.name + ": quantizing would make a second tensor of this name"};
    }
  }
  return OkStatus();
}

}  // namespace

struct Planner::State {
  Options options;
  std::vector<tree::OutputTensor> tensors;
  std::vector<Candidate> candidates;  // with what the survey found out
  std::vector<std::string> warnings;  // of the survey
  std::optional<double> kept_bytes;   // what is not quantized, where a size was asked for

  Status Survey(ThreadPool& pool);
  Status FitRate(Plan& plan, Precision precision, ThreadPool& pool);
  Result<Plan> Make(Precision precision, ThreadPool& pool);
};

// A rate is shared by one step for all matrices, which a matrix far beyond the others would make useless for them.
void LeaveThoseBeyondReason(std::vector<Candidate>& candidates, std::vector<std::string>& warnings) {
  std::vector<float> reaches;
  auto reach_of = [](const Candidate& candidate) {
    const arithmetic::ValueRange range = candidate.WholeRange();
    return std::max(-range.lowest, range.highest);
  };
  for (const Candidate& candidate : candidates) {
    if (candidate.form) reaches.push_back(reach_of(candidate));
  }
  if (reaches.empty()) return;
  std::nth_element(reaches.begin(), reaches.begin() + static_cast<ptrdiff_t>(reaches.size() / 2), reaches.end());
  const float usual = reaches[reaches.size() / 2];
  for (Candidate& candidate : candidates) {
    if (!candidate.form || usual == 0 || reach_of(candidate) / usual <= kMostTimesUsual) continue;
    std::array<char, 128> text;
    std::snprintf(text.data(), text.size(), ": its values reach %.3g, those of most others %.3g; left as it is",
                  static_cast<double>(reach_of(candidate)), static_cast<double>(usual));
    warnings.push_back(candidate.input->name + text.data());
    candidate.form = std::nullopt;
  }
}

Status Planner::State::Survey(ThreadPool& pool) {
  const selection::Reach reach = options.packed_view ? selection::Reach::kLinearLayers : selection::Reach::kAllWeights;
  const std::vector<selection::Decision> decisions =
      selection::SelectTensors(reach, tensors, options.include, options.exclude);
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!decisions[i].is_selected) continue;
    Candidate& candidate = candidates.emplace_back();
    candidate.index = i;
    candidate.input = &tensors[i];
    candidate.shape = *selection::MatrixShapeOf(tensors[i].shape);
  }
  if (options.calibration) ENTROFS_RETURN_IF_ERROR(ReadCalibration(*options.calibration, candidates, warnings));
  if (HasOneRange(options.scheme)) {
    auto fit = [&](const arithmetic::ValueRange& range, source::Dtype dtype) {
      return FitRange(options, range, dtype);
    };
    ENTROFS_RETURN_IF_ERROR(MeasureWholeMatrices(fit, candidates, pool));
  }
  FirstPass pass;
  pass.ranges_per_row = [&](const Candidate& candidate) { return HasRangePerRow(options, candidate); };
  pass.count_values = options.scheme == Scheme::kRate;
  ENTROFS_RETURN_IF_ERROR(FindRanges(pass, candidates, pool));
  for (Candidate& candidate : candidates) {
    std::string problem = ProblemOf(options, candidate);
    if (problem.empty()) {
      candidate.form = FormOf(options, candidate);
      candidate.follows_trellis = options.trellis && CanFollowTrellis(candidate);
    } else {
      warnings.push_back(candidate.input->name + ": " + problem);
    }
  }
  if (options.scheme == Scheme::kRate) LeaveThoseBeyondReason(candidates, warnings);
  return OkStatus();
}

// Fits steps to the rate or size asked for.
Status Planner::State::FitRate(Plan& plan, Precision precision, ThreadPool& pool) {
  double weights = 0;
  for (const Candidate& candidate : candidates) {
    if (candidate.form) weights += static_cast<double>(candidate.shape.element_count());
  }
  double target = options.bits_per_weight * weights;
  if (options.archive_bytes) {
    if (!kept_bytes) {
      ENTROFS_ASSIGN_OR_RETURN(kept_bytes, KeptBytes(options, candidates, tensors, pool));
    }
    ENTROFS_ASSIGN_OR_RETURN(target, BitsLeft(*options.archive_bytes, *kept_bytes));
  }
  if (options.trellis && weights > 0) ENTROFS_RETURN_IF_ERROR(CheckTrellisBits(target / weights, kSlack));
  ENTROFS_ASSIGN_OR_RETURN(
      double bits, FitToRate(target, options.calibration.get(), options.segment_bytes, precision, candidates, pool));
  if (weights > 0 && std::abs(bits - target) > kRateTolerance * target) {
    std::array<char, 128> text;
    std::snprintf(text.data(), text.size(),
                  "quantized weights take %.3f bits, not %.3f, which 8-bit codes cannot reach", bits / weights,
                  target / weights);
    plan.warnings.push_back(text.data());
  }
  return OkStatus();
}

Result<Plan> Planner::State::Make(Precision precision, ThreadPool& pool) {
  Plan plan;
  plan.warnings = warnings;
  for (Candidate& candidate : candidates) {
    candidate.matrix = nullptr;
    candidate.output_error = std::nullopt;
  }
  ENTROFS_RETURN_IF_ERROR(options.scheme == Scheme::kRate ? FitRate(plan, precision, pool)
                                                          : FitRanges(options, candidates, pool));
  if (precision != Precision::kForetold) ENTROFS_RETURN_IF_ERROR(MeasureOutputErrors(candidates, pool));

  for (const tree::OutputTensor& tensor : tensors) plan.tensors.push_back({{tensor}, std::nullopt, std::nullopt});
  for (Candidate& candidate : candidates) {
    if (!candidate.matrix) continue;
    plan.error += candidate.error;
    std::vector<tree::OutputTensor> outputs = forms::LayOut(*candidate.input, *candidate.form, candidate.matrix);
    for (tree::OutputTensor& output : outputs) output.scheme = Name(options.scheme);
    outputs.front().error = candidate.error;
    outputs.front().output_error = candidate.output_error;
    outputs.front().follows_trellis = candidate.follows_trellis;
    outputs.front().byte_counts = forms::ByteCountsOf(*candidate.form, *candidate.matrix, candidate.codes);
    std::optional<tree::ViewPart> values =
        forms::ValuesOf(*candidate.input, *candidate.form, *candidate.matrix, outputs);
    plan.tensors[candidate.index] = {std::move(outputs), candidate.form, std::move(values)};
  }
  ENTROFS_RETURN_IF_ERROR(CheckNames(plan));
  return plan;
}

Planner::Planner(std::unique_ptr<State> state) : state_(std::move(state)) {}
Planner::~Planner() = default;
Planner::Planner(Planner&&) noexcept = default;

const std::vector<tree::OutputTensor>& Planner::tensors() const { return state_->tensors; }

Result<Planner> Planner::Survey(const Options& options, std::vector<tree::OutputTensor> tensors, ThreadPool& pool) {
  ENTROFS_RETURN_IF_ERROR(CheckOptions(options));
  auto state = std::make_unique<State>();
  state->options = options;
  state->tensors = std::move(tensors);
  ENTROFS_RETURN_IF_ERROR(state->Survey(pool));
  return Planner(std::move(state));
}

Result<Plan> Planner::Make(double bits_per_weight, std::optional<uint64_t> archive_bytes, Precision precision,
                           ThreadPool& pool) {
  ENTROFS_RETURN_IF_ERROR(CheckRate(bits_per_weight));
  state_->options.bits_per_weight = bits_per_weight;
  state_->options.archive_bytes = archive_bytes;
  return state_->Make(precision, pool);
}

Result<Plan> PlanQuantization(const Options& options, std::span<const tree::OutputTensor> tensors, ThreadPool& pool) {
  ENTROFS_ASSIGN_OR_RETURN(Planner planner, Planner::Survey(options, {tensors.begin(), tensors.end()}, pool));
  return planner.Make(options.bits_per_weight, options.archive_bytes, Precision::kMeasured, pool);
}

}  // namespace entrofs::packer::quantize
