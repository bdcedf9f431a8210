#include "packer/fitted_tree.h"

#include <algorithm>
#include <cmath>

#include "packer/quantization_summary.h"
#include "packer/quantized_tree.h"

namespace entrofs::packer {
namespace {

// Close enough, as a share of the rate or size.
constexpr double kTolerance = 0.0015;
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

}  // namespace

Result<OutputTree> FittedTree(const Checkpoint& checkpoint, const quantize::Options& options,
                              const PackOptions& pack_options, ThreadPool& pool) {
  ENTROFS_ASSIGN_OR_RETURN(OutputTree tree, QuantizedTree(checkpoint, options, pool));
  if (options.scheme != quantize::Scheme::kRate || checkpoint.size_bytes() > kMaxRehearsedBytes) return tree;
  const double wanted = WantedOf(options);
  quantize::Options tried = options;
  OutputTree best = tree;
  double least_miss = 0;
  NoProgress progress;
  for (int round = 0;; ++round) {
    ENTROFS_ASSIGN_OR_RETURN(PackResult packed, RehearsePacking(tree, pack_options, pool, progress));
    const std::optional<double> taken = TakenBy(packed, options);
    if (!taken) break;
    const double miss = std::abs(*taken - wanted);
    if (round == 0 || miss < least_miss) {
      least_miss = miss;
      best = tree;
    }
    if (miss <= kTolerance * wanted || round == kMaxRounds || !Correct(wanted, *taken, tried)) break;
    Result<OutputTree> next = QuantizedTree(checkpoint, tried, pool);
    // A size that only the correction made impossible.
    if (!next && next.error().code == ErrorCode::kInvalidArgument) break;
    if (!next) return std::move(next.error());
    // What the user is told is about what the user asked for.
    next->warnings = tree.warnings;
    tree = std::move(*next);
  }
  return best;
}

}  // namespace entrofs::packer
