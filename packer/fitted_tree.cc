#include "packer/fitted_tree.h"

#include <algorithm>
#include <cmath>

#include "packer/quantization_summary.h"
#include "packer/quantized_tree.h"

namespace entrofs::packer {
namespace {

// Close enough, as a share of the rate or size.
constexpr double kTolerance = 0.0015;
// A rate that misses by no more is corrected, and then needs no more rehearsing.
constexpr double kSmallMiss = 0.01;
constexpr int kMaxRounds = 4;
constexpr double kLeastBits = 0.1;
constexpr double kMostBits = 8;

// What `options` ask for, in bits per weight or bytes.
double WantedOf(const quantize::Options& options) {
  return options.archive_bytes ? static_cast<double>(*options.archive_bytes) : options.bits_per_weight;
}

// The same of a finished archive; nullopt when nothing was quantized.
std::optional<double> TakenBy(const PackResult& packed, const quantize::Options& options) {
  const std::optional<QuantizationSummary> summary = SummarizeQuantization(packed.report);
  if (!summary) return std::nullopt;
  return options.archive_bytes ? static_cast<double>(packed.archive_bytes) : summary->bits_per_weight();
}

// Asks for less where too much was taken, and the other way round. False when there is nothing more to ask for.
bool Correct(double wanted, double taken, quantize::Options& options) {
  if (options.archive_bytes) {
    const double corrected = static_cast<double>(*options.archive_bytes) + wanted - taken;
    if (corrected < 1) return false;
    options.archive_bytes = static_cast<uint64_t>(corrected);
    return true;
  }
  const double corrected = std::clamp(options.bits_per_weight * wanted / taken, kLeastBits, kMostBits);
  const bool has_changed = corrected != options.bits_per_weight;
  options.bits_per_weight = corrected;
  return has_changed;
}

bool HasHessians(const quantize::Options& options) { return options.calibration && options.calibration->HasHessians(); }

class Fitter {
 public:
  Fitter(const Checkpoint& checkpoint, const quantize::Options& options, const PackOptions& pack_options,
         ThreadPool& pool)
      : trees_(checkpoint, options, pool), options_(options), pack_options_(pack_options), pool_(pool) {}

  // What is rehearsed is foretold from the survey, and only the tree that is kept has the precision.
  Result<OutputTree> FitForetold(quantize::Precision precision) {
    quantize::Options tried = options_, best = options_;
    const double wanted = WantedOf(options_);
    double least_miss = 0;
    std::vector<std::string> warnings;
    for (int round = 0;; ++round) {
      Result<OutputTree> tree = Tree(tried, quantize::Precision::kForetold);
      if (!tree && IsOutOfReach(tree.error(), round)) break;
      if (!tree) return std::move(tree.error());
      if (round == 0) warnings = tree->warnings;
      ENTROFS_ASSIGN_OR_RETURN(std::optional<double> taken, Rehearse(*tree, Rehearsal::kForetold));
      if (!taken) return Tree(options_, precision);
      const double miss = std::abs(*taken - wanted) / wanted;
      if (round == 0 || miss < least_miss) {
        least_miss = miss;
        best = tried;
      }
      if (miss <= kTolerance || round == kMaxRounds || !Correct(wanted, *taken, tried)) break;
      if (miss <= kSmallMiss) {
        best = tried;
        break;
      }
    }
    ENTROFS_ASSIGN_OR_RETURN(OutputTree tree, Tree(best, precision));
    // What the user is told is about what the user asked for.
    tree.warnings = std::move(warnings);
    return tree;
  }

  // With error feedback codes are only known when they are made.
  Result<OutputTree> FitMeasured() {
    quantize::Options tried = options_;
    const double wanted = WantedOf(options_);
    ENTROFS_ASSIGN_OR_RETURN(OutputTree tree, Tree(tried, quantize::Precision::kMeasured));
    OutputTree best = tree;
    double least_miss = 0;
    for (int round = 0;; ++round) {
      ENTROFS_ASSIGN_OR_RETURN(std::optional<double> taken, Rehearse(tree, Rehearsal::kExact));
      if (!taken) break;
      const double miss = std::abs(*taken - wanted) / wanted;
      if (round == 0 || miss < least_miss) {
        least_miss = miss;
        best = tree;
      }
      if (miss <= kTolerance || round == kMaxRounds || !Correct(wanted, *taken, tried)) break;
      Result<OutputTree> next = Tree(tried, quantize::Precision::kMeasured);
      if (!next && IsOutOfReach(next.error(), round + 1)) break;
      if (!next) return std::move(next.error());
      next->warnings = tree.warnings;
      tree = std::move(*next);
    }
    return best;
  }

  Result<OutputTree> Tree(const quantize::Options& options, quantize::Precision precision) {
    return trees_.Make(options.bits_per_weight, options.archive_bytes, precision);
  }

 private:
  // Whether only a correction made a size impossible.
  static bool IsOutOfReach(const Error& error, int round) {
    return round > 0 && error.code == ErrorCode::kInvalidArgument;
  }

  Result<std::optional<double>> Rehearse(const OutputTree& tree, Rehearsal rehearsal) {
    NoProgress progress;
    ENTROFS_ASSIGN_OR_RETURN(PackResult packed, RehearsePacking(tree, pack_options_, rehearsal, pool_, progress));
    return TakenBy(packed, options_);
  }

  QuantizedTrees trees_;
  const quantize::Options& options_;
  const PackOptions& pack_options_;
  ThreadPool& pool_;
};

}  // namespace

Result<OutputTree> FittedTree(const Checkpoint& checkpoint, const quantize::Options& options,
                              const PackOptions& pack_options, ThreadPool& pool, quantize::Precision precision) {
  Fitter fitter(checkpoint, options, pack_options, pool);
  if (options.scheme != quantize::Scheme::kRate || checkpoint.size_bytes() > kMaxRehearsedBytes) {
    return fitter.Tree(options, precision);
  }
  return HasHessians(options) ? fitter.FitMeasured() : fitter.FitForetold(precision);
}

}  // namespace entrofs::packer
