#include "packer/quantize/fitted_tree.h"

#include <algorithm>
#include <cmath>

#include "packer/quantize/quantized_tree.h"
#include "packer/report/quantization_summary.h"

namespace entrofs::packer::quantize {
namespace {

// Close enough, as a share of the rate or size.
constexpr double kTolerance = 0.0015;
// A rate that misses by no more is corrected, and then needs no more rehearsing.
constexpr double kSmallMiss = 0.01;
constexpr int kMaxRounds = 4;
constexpr double kLeastBits = 0.1;
constexpr double kMostBits = 8;

// What `options` ask for, in bits per weight or bytes.
double WantedOf(const Options& options) {
  return options.archive_bytes ? static_cast<double>(*options.archive_bytes) : options.bits_per_weight;
}

// The same of a finished archive; nullopt when nothing was quantized.
std::optional<double> TakenBy(const pack::PackResult& packed, const Options& options) {
  const std::optional<report::QuantizationSummary> summary = report::SummarizeQuantization(packed.report);
  if (!summary) return std::nullopt;
  return options.archive_bytes ? static_cast<double>(packed.archive_bytes) : summary->bits_per_weight();
}

// Asks for less where too much was taken, and the other way round. False when there is nothing more to ask for.
bool Correct(double wanted, double taken, Options& options) {
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

bool HasHessians(const Options& options) { return options.calibration && options.calibration->HasHessians(); }

class Fitter {
 public:
  Fitter(const source::Checkpoint& checkpoint, const Options& options, const pack::PackOptions& pack_options,
         ThreadPool& pool)
      : trees_(checkpoint, options, pool), options_(options), pack_options_(pack_options), pool_(pool) {}

  // What is rehearsed is foretold from the survey, and only the tree that is kept has the precision.
  Result<tree::OutputTree> FitForetold(Precision precision) {
    Options tried = options_, best = options_;
    const double wanted = WantedOf(options_);
    double least_miss = 0;
    std::vector<std::string> warnings;
    for (int round = 0;; ++round) {
      Result<tree::OutputTree> tree = Tree(tried, Precision::kForetold);
      if (!tree && IsOutOfReach(tree.error(), round)) break;
      if (!tree) return std::move(tree.error());
      if (round == 0) warnings = tree->warnings;
      ENTROFS_ASSIGN_OR_RETURN(std::optional<double> taken, Rehearse(*tree, pack::Rehearsal::kForetold));
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
    ENTROFS_ASSIGN_OR_RETURN(tree::OutputTree tree, Tree(best, precision));
    // What the user is told is about what the user asked for.
    tree.warnings = std::move(warnings);
    return tree;
  }

  // With error feedback codes are only known when they are made.
  Result<tree::OutputTree> FitMeasured() {
    Options tried = options_;
    const double wanted = WantedOf(options_);
    ENTROFS_ASSIGN_OR_RETURN(tree::OutputTree tree, Tree(tried, Precision::kMeasured));
    tree::OutputTree best = tree;
    double least_miss = 0;
    for (int round = 0;; ++round) {
      ENTROFS_ASSIGN_OR_RETURN(std::optional<double> taken, Rehearse(tree, pack::Rehearsal::kExact));
      if (!taken) break;
      const double miss = std::abs(*taken - wanted) / wanted;
      if (round == 0 || miss < least_miss) {
        least_miss = miss;
        best = tree;
      }
      if (miss <= kTolerance || round == kMaxRounds || !Correct(wanted, *taken, tried)) break;
      Result<tree::OutputTree> next = Tree(tried, Precision::kMeasured);
      if (!next && IsOutOfReach(next.error(), round + 1)) break;
      if (!next) return std::move(next.error());
      next->warnings = tree.warnings;
      tree = std::move(*next);
    }
    return best;
  }

  Result<tree::OutputTree> Tree(const Options& options, Precision precision) {
    return trees_.Make(options.bits_per_weight, options.archive_bytes, precision);
  }

 private:
  // Whether only a correction made a size impossible.
  static bool IsOutOfReach(const Error& error, int round) {
    return round > 0 && error.code == ErrorCode::kInvalidArgument;
  }

  Result<std::optional<double>> Rehearse(const tree::OutputTree& tree, pack::Rehearsal rehearsal) {
    read::NoProgress progress;
    ENTROFS_ASSIGN_OR_RETURN(pack::PackResult packed,
                             pack::RehearsePacking(tree, pack_options_, rehearsal, pool_, progress));
    return TakenBy(packed, options_);
  }

  QuantizedTrees trees_;
  const Options& options_;
  const pack::PackOptions& pack_options_;
  ThreadPool& pool_;
};

}  // namespace

Result<tree::OutputTree> FittedTree(const source::Checkpoint& checkpoint, const Options& options,
                                    const pack::PackOptions& pack_options, ThreadPool& pool, Precision precision) {
  Fitter fitter(checkpoint, options, pack_options, pool);
  if (options.scheme != Scheme::kRate || checkpoint.size_bytes() > kMaxRehearsedBytes) {
    return fitter.Tree(options, precision);
  }
  return HasHessians(options) ? fitter.FitMeasured() : fitter.FitForetold(precision);
}

}  // namespace entrofs::packer::quantize
