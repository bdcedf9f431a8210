#include "packer/quantize/rate_plan.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "base/parallel.h"
#include "packer/pack/extent_plan.h"
#include "packer/quantize/arithmetic/code_store.h"
#include "packer/quantize/arithmetic/feedback.h"
#include "packer/quantize/arithmetic/rate.h"
#include "packer/quantize/trellis_plan.h"

namespace entrofs::packer::quantize {
namespace {

// The first guess is usually within this already; a second one nearly always.
constexpr double kTolerance = 0.001;
constexpr int kMaxRounds = 5;
// Of trellises, which take long to round: what samples foretell is nearly always within this.
constexpr double kTrellisTolerance = 0.002;
// Times that samples are rounded for a step.
constexpr int kTrellisPasses = 3;

// Steps to consider: of the weights' root mean square, where a twentieth of a bell curve is out of reach of 8-bit codes
// and finer steps gain nothing; and of the largest weight, where all codes are zero.
constexpr double kFinestStep = 1.0 / 64;
constexpr double kCoarsestStep = 4;

// Corrections are smaller than this factor.
constexpr double kNear = 1.1;

// Matrices of fewer codes share an extent of the archive with their neighbours.
constexpr uint64_t kSmallMatrix = pack::kSmallTensorBytes;

// Steps are those of the codes that are paid for; a trellis has two codes to a step.
constexpr double kTrellisCodesPerStep = 2;

// Tables are only built for this many matrices to learn what coding costs beyond entropy.
constexpr size_t kMaxTables = 6;

// Rows that are rounded by one job.
constexpr uint64_t kRowsPerJob = 64;

// Replaces the codes of a fitted matrix by such as keep its layer's outputs near.
Status RoundWithFeedback(const arithmetic::Calibration& calibration, Candidate& candidate, ThreadPool& pool) {
  const tree::OutputTensor& input = *candidate.input;
  const uint64_t rows = candidate.shape.rows, columns = candidate.shape.columns;
  ENTROFS_ASSIGN_OR_RETURN(std::vector<float> hessian, calibration.Hessian(input.name, columns));
  const arithmetic::ErrorFeedback feedback(std::move(hessian), columns, pool);
  std::vector<arithmetic::Affine> affines(rows);
  ENTROFS_RETURN_IF_ERROR(candidate.matrix->ReadAffines(0, rows, affines.data()));
  ENTROFS_ASSIGN_OR_RETURN(std::shared_ptr<arithmetic::CodeStore> store, arithmetic::CodeStore::Create(rows * columns));
  const size_t jobs = (rows + kRowsPerJob - 1) / kRowsPerJob;
  std::vector<tree::QuantizationError> errors(jobs);
  auto round_rows = [&](size_t job) -> Status {
    const uint64_t first = job * kRowsPerJob, count = std::min(kRowsPerJob, rows - first);
    std::vector<float> weights(count * columns);
    ENTROFS_RETURN_IF_ERROR(arithmetic::VisitWeights(
        *input.bytes, input.dtype, first * columns, (first + count) * columns,
        [&](const float* part, size_t size, uint64_t at) {
          std::copy_n(part, size, weights.begin() + static_cast<ptrdiff_t>(at - first * columns));
        }));
    std::vector<uint8_t> codes(weights.size());
    errors[job] = feedback.Round(weights, std::span(affines).subspan(first, count), input.dtype, codes);
    return store->Write(first * columns, codes);
  };
  ENTROFS_RETURN_IF_ERROR(ParallelForStatus(pool, jobs, round_rows));
  candidate.output_error =
      std::accumulate(errors.begin(), errors.end(), tree::QuantizationError{},
                      [](tree::QuantizationError sum, const tree::QuantizationError& error) { return sum += error; });
  candidate.matrix = std::make_shared<arithmetic::QuantizedMatrix>(
      input.bytes, input.dtype, candidate.shape, candidate.form->bits, columns, std::move(affines), std::move(store));
  return OkStatus();
}

// Small matrices are run together in an archive and share a table, so they count as one; of the others, some tell
// what coding costs beyond entropy.
double CodedBitsOfAll(const std::vector<Candidate*>& candidates, uint32_t segment_bytes, ThreadPool& pool) {
  codec::Histogram small{};
  std::vector<const codec::Histogram*> large;
  double overhead = 0;
  for (const Candidate* candidate : candidates) {
    if (candidate->shape.element_count() >= kSmallMatrix) {
      large.push_back(&candidate->codes);
      overhead += arithmetic::OverheadBits(candidate->shape.element_count(), segment_bytes);
    } else {
      for (size_t code = 0; code < small.size(); ++code) small[code] += candidate->codes[code];
    }
  }
  const uint64_t small_count = std::accumulate(small.begin(), small.end(), uint64_t{0});
  if (small_count != 0) overhead += arithmetic::CodedBits(small) + arithmetic::OverheadBits(small_count, segment_bytes);

  const size_t sampled = std::min(large.size(), kMaxTables);
  std::vector<double> coded(sampled), entropy(sampled);
  pool.ParallelFor(sampled, [&](size_t i) {
    const codec::Histogram& codes = *large[i * large.size() / sampled];
    coded[i] = arithmetic::CodedBits(codes);
    entropy[i] = codec::EntropyBits(codes);
  });
  double bits = 0;
  for (const codec::Histogram* codes : large) bits += codec::EntropyBits(*codes);
  const double sampled_entropy = std::accumulate(entropy.begin(), entropy.end(), 0.0);
  if (sampled_entropy > 0) bits *= std::accumulate(coded.begin(), coded.end(), 0.0) / sampled_entropy;
  return bits + overhead;
}

// Gives a candidate the matrix of this step.
void Fit(double step, Candidate& candidate) {
  const source::Dtype dtype = candidate.input->dtype;
  double gain = candidate.trellis_gain;
  if (!candidate.follows_trellis) {
    gain = arithmetic::TryStep(candidate.values, step).gain;
  } else {
    if (codec::EntropyBits(candidate.expected_indices) == 0) candidate.expected_indices = GuessIndices(candidate, step);
    step /= kTrellisCodesPerStep;
  }
  std::vector<arithmetic::Affine> affines;
  affines.reserve(candidate.ranges.size());
  for (size_t row = 0; row < candidate.ranges.size(); ++row) {
    affines.push_back(arithmetic::FitStep(candidate.ranges[row], step * candidate.row_factors[row], gain, dtype));
  }
  candidate.matrix =
      std::make_shared<arithmetic::QuantizedMatrix>(candidate.input->bytes, dtype, candidate.shape,
                                                    candidate.form->bits, candidate.shape.columns, std::move(affines));
}

class RateFitter {
 public:
  RateFitter(const arithmetic::Calibration* calibration, uint32_t segment_bytes, Precision precision,
             std::vector<Candidate>& candidates, ThreadPool& pool)
      : calibration_(calibration),
        segment_bytes_(segment_bytes),
        precision_(precision),
        candidates_(candidates),
        pool_(pool) {
    for (Candidate& candidate : candidates) {
      if (!candidate.form) continue;
      active_.push_back(&candidate);
      has_trellises_ = has_trellises_ || candidate.follows_trellis;
      foretells_ = foretells_ && !HasHessian(candidate);
      for (const arithmetic::ValueHistogram::Entry& entry : candidate.values.entries()) {
        const double value = entry.value, count = static_cast<double>(entry.count);
        largest_ = std::max(largest_, std::abs(value));
        energy_ += count * value * value;
        weight_count_ += count;
      }
    }
  }

  Result<double> Run(double target_bits) {
    if (active_.empty() || largest_ == 0) return FitAndMeasure(1);
    // Entropy is what can be foretold; what coding and the rows that need larger steps add to it is then corrected for.
    Search search{target_bits, target_bits};
    if (foretells_) {
      ENTROFS_RETURN_IF_ERROR(Find([this](double step) { return Foretell(step); }, search));
      if (has_trellises_ && precision_ != Precision::kMeasured) {
        ENTROFS_ASSIGN_OR_RETURN(double bits, Foretell(search.best_step));
        if (precision_ == Precision::kSampled) ENTROFS_RETURN_IF_ERROR(MeasureThoseWithoutTrellis());
        return bits;
      }
      if (precision_ == Precision::kForetold) {
        FitAll(search.best_step);
        return search.best_bits;
      }
      // Usually good enough, and then the weights are read just once more.
      const double step = search.best_step;
      ENTROFS_ASSIGN_OR_RETURN(double bits, FitAndMeasure(step));
      const double tolerance = has_trellises_ ? kTrellisTolerance : kTolerance;
      if (std::abs(bits - target_bits) <= tolerance * target_bits) return bits;
      search = {target_bits, search.target_entropy * target_bits / bits, bits, step};
    }
    ENTROFS_RETURN_IF_ERROR(Find([this](double step) { return FitAndMeasure(step); }, search));
    return search.last_step == search.best_step ? Result<double>(search.best_bits) : FitAndMeasure(search.best_step);
  }

 private:
  struct Search {
    double target_bits = 0;
    double target_entropy = 0;
    double best_bits = 0;
    double best_step = 0;  // 0: none yet
    double last_step = best_step;
  };

  // Tries steps until one takes nearly the bits wanted or the next is no better.
  Status Find(const std::function<Result<double>(double step)>& bits_at, Search& search) const {
    for (int round = 0; round < kMaxRounds; ++round) {
      const double step = StepFor(search.target_entropy, search.best_step);
      if (step == search.best_step) return OkStatus();
      ENTROFS_ASSIGN_OR_RETURN(double bits, bits_at(step));
      search.last_step = step;
      const double miss = std::abs(bits - search.target_bits);
      if (search.best_step != 0 && miss >= std::abs(search.best_bits - search.target_bits)) return OkStatus();
      search.best_bits = bits;
      search.best_step = step;
      if (miss <= kTolerance * search.target_bits) return OkStatus();
      search.target_entropy *= search.target_bits / bits;
    }
    return OkStatus();
  }

  // The step of this entropy, which may be near `guess` (0: no idea).
  double StepFor(double entropy, double guess) const {
    auto entropy_at = [this](double step) { return EntropyAt(step); };
    const double lowest = std::sqrt(energy_ / weight_count_) * kFinestStep, highest = largest_ * kCoarsestStep;
    if (guess > lowest * kNear && guess < highest / kNear) {
      const double step = arithmetic::FindStep(entropy_at, entropy, guess / kNear, guess * kNear);
      if (step > guess / kNear && step < guess * kNear) return step;
    }
    return arithmetic::FindStep(entropy_at, entropy, lowest, highest);
  }

  bool HasHessian(const Candidate& candidate) const {
    return calibration_ != nullptr && calibration_->HasHessian(candidate.input->name);
  }

  // What the codes of a step will be, without reading the weights or, with trellises, all of them.
  Result<double> Foretell(double step) {
    pool_.ParallelFor(active_.size(),
                      [&](size_t i) { active_[i]->codes = arithmetic::TryStep(active_[i]->values, step).codes; });
    // At few bits what indices cost decides which are taken, and that what they cost.
    for (int pass = 0; has_trellises_ && pass < kTrellisPasses; ++pass) {
      FitAll(step);
      ENTROFS_RETURN_IF_ERROR(RoundOnTrellises(Stretches::kSamples, segment_bytes_, candidates_, pool_));
    }
    return CodedBitsOfAll(active_, segment_bytes_, pool_);
  }

  double EntropyAt(double step) const {
    std::vector<double> bits(active_.size());
    pool_.ParallelFor(active_.size(), [&](size_t i) {
      bits[i] = codec::EntropyBits(arithmetic::TryStep(active_[i]->values, step).codes);
    });
    double total = 0;
    for (double b : bits) total += b;
    return total;
  }

  void FitAll(double step) {
    pool_.ParallelFor(active_.size(), [&](size_t i) { Fit(step, *active_[i]); });
  }

  Result<double> FitAndMeasure(double step) {
    FitAll(step);
    for (Candidate* candidate : active_) {
      if (HasHessian(*candidate)) ENTROFS_RETURN_IF_ERROR(RoundWithFeedback(*calibration_, *candidate, pool_));
    }
    if (!has_trellises_) {
      ENTROFS_RETURN_IF_ERROR(MeasureErrors(candidates_, pool_));
      return CodedBitsOfAll(active_, segment_bytes_, pool_);
    }
    ENTROFS_RETURN_IF_ERROR(RoundOnTrellises(Stretches::kAll, segment_bytes_, candidates_, pool_));
    std::vector<codec::Histogram> indices;
    for (const Candidate* candidate : active_) indices.push_back(candidate->codes);
    ENTROFS_RETURN_IF_ERROR(MeasureErrors(candidates_, pool_));
    for (size_t i = 0; i < active_.size(); ++i) {
      if (active_[i]->follows_trellis) active_[i]->codes = indices[i];
    }
    return CodedBitsOfAll(active_, segment_bytes_, pool_);
  }

  // What samples leave open.
  Status MeasureThoseWithoutTrellis() {
    for (Candidate* candidate : active_) candidate->is_measured = candidate->follows_trellis;
    Status status = MeasureErrors(candidates_, pool_);
    for (Candidate* candidate : active_) candidate->is_measured = false;
    return status;
  }

  const arithmetic::Calibration* const calibration_;
  const uint32_t segment_bytes_;
  const Precision precision_;
  bool foretells_ = true;
  bool has_trellises_ = false;
  std::vector<Candidate>& candidates_;
  ThreadPool& pool_;
  std::vector<Candidate*> active_;
  double largest_ = 0;
  double energy_ = 0;
  double weight_count_ = 0;
};

}  // namespace

Result<double> FitToRate(double target_bits, const arithmetic::Calibration* calibration, uint32_t segment_bytes,
                         Precision precision, std::vector<Candidate>& candidates, ThreadPool& pool) {
  return RateFitter(calibration, segment_bytes, precision, candidates, pool).Run(target_bits);
}

}  // namespace entrofs::packer::quantize
