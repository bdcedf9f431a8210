#include "packer/analyze/analysis.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "packer/analyze/column_files.h"
#include "packer/analyze/smoothing.h"
#include "packer/pack/measure.h"
#include "packer/pack/pack.h"
#include "packer/quantize/fitted_tree.h"
#include "packer/quantize/quantized_tree.h"

namespace entrofs::packer::analyze {
namespace {

// A tensor of the checkpoint: its file and name.
using Key = std::pair<std::string, std::string>;

// Says which scheme is being tried.
class TrialProgress : public read::Progress {
 public:
  TrialProgress(read::Progress& progress, size_t count) : progress_(progress), count_(count) {}

  // Before its packing is rehearsed, of `bytes`, it is planned.
  void Next(const std::string& title, uint64_t bytes) {
    title_ = std::to_string(++number_) + "/" + std::to_string(count_) + " " + title;
    progress_.Start(title_, bytes);
  }
  void Start(const std::string&, uint64_t total_bytes) override { progress_.Start(title_, total_bytes); }
  void Advance(uint64_t bytes) override { progress_.Advance(bytes); }

 private:
  read::Progress& progress_;
  const size_t count_;
  size_t number_ = 0;
  std::string title_;
};

// As `create` has them when nothing else is asked for.
pack::PackOptions PackOptionsFor(const Trial& trial) {
  pack::PackOptions options;
  options.quant = trial.kind == Trial::Kind::kLossless ? "none" : Name(trial.options.scheme);
  return options;
}

// The codes in `tensor`, whose bytes were counted.
SymbolCounts SymbolsOf(const tree::OutputTensor& tensor, const codec::Histogram& bytes) {
  const bool is_packed_nibbles = tensor.bytes->size() < tensor.weight_count;
  std::vector<uint64_t> counts(is_packed_nibbles ? 16 : 256);
  for (size_t value = 0; value < bytes.size(); ++value) {
    if (is_packed_nibbles) {
      counts[value & 15] += bytes[value];
      counts[value >> 4] += bytes[value];
    } else {
      // Plain int8 codes are stored less 128.
      counts[tensor.dtype == source::Dtype::kI8 ? value ^ 0x80 : value] += bytes[value];
    }
  }
  // Rows are filled up to whole words with zeros.
  const uint64_t stored = std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  counts[0] -= std::min(counts[0], stored - tensor.weight_count);
  auto is_used = [](uint64_t count) { return count != 0; };
  const auto first = std::find_if(counts.begin(), counts.end(), is_used);
  const auto last = std::find_if(counts.rbegin(), counts.rend(), is_used).base();
  return {static_cast<int>(first - counts.begin()), first < last ? std::vector(first, last) : std::vector<uint64_t>{}};
}

// What is asked of matrices that are planned one by one.
quantize::Options OptionsForOne(const Trial& trial) {
  quantize::Options options = trial.options;
  options.include = {"*"};
  options.exclude.clear();
  options.calibration = nullptr;
  return options;
}

// What stands for a matrix scaled and quantized. The errors are told as of the weights and inputs before they were
// scaled.
Result<std::vector<tree::OutputTensor>> Smoothed(const Trial& trial, const tree::OutputTensor& matrix,
                                                 const std::vector<float>& factors, const std::vector<float>& moments,
                                                 ThreadPool& pool) {
  const tree::OutputTensor scaled = WithScaledColumns(matrix, factors);
  auto plan_with = [&](const std::vector<float>& input_moments) {
    std::vector<float> of_scaled(factors.size());
    for (size_t j = 0; j < factors.size(); ++j) of_scaled[j] = input_moments[j] / (factors[j] * factors[j]);
    quantize::Options options = OptionsForOne(trial);
    options.calibration = quantize::arithmetic::Calibration::Of({{scaled.name, std::move(of_scaled)}});
    return quantize::PlanQuantization(options, {&scaled, 1}, pool);
  };
  ENTROFS_ASSIGN_OR_RETURN(quantize::Plan plan, plan_with(std::vector<float>(factors.size(), 1)));
  tree::OutputTensor& codes = plan.tensors[0].outputs.front();
  codes.error = codes.output_error;
  codes.output_error = std::nullopt;
  if (!moments.empty()) {
    ENTROFS_ASSIGN_OR_RETURN(quantize::Plan weighted, plan_with(moments));
    codes.output_error = weighted.tensors[0].outputs.front().output_error;
  }
  return std::move(plan.tensors[0].outputs);
}

// Counts the codes of the matrices in `tree`, which `numbers` knows by file and name.
Status CountSymbols(const tree::OutputTree& tree, const std::map<Key, size_t>& numbers, ThreadPool& pool,
                    SchemeCosts& costs) {
  const codec::Layout bytes;
  for (const tree::OutputFile& file : tree.files) {
    for (const tree::FilePart& part : file.parts) {
      const auto* tensor = std::get_if<tree::OutputTensor>(&part);
      if (tensor == nullptr || !tensor->error) continue;
      ENTROFS_ASSIGN_OR_RETURN(pack::Measurement measurement, pack::Measure(*tensor->bytes, {&bytes, 1}, pool));
      costs.matrices[numbers.at({file.path, tensor->belongs_to})].symbols =
          SymbolsOf(*tensor, measurement.layouts[0].planes[0]);
    }
  }
  return OkStatus();
}

class Analyzer {
 public:
  Analyzer(const source::Checkpoint& checkpoint, const TrialOptions& options, ThreadPool& pool,
           read::Progress& progress)
      : checkpoint_(checkpoint),
        options_(options),
        trials_(Trials(options)),
        pool_(pool),
        progress_(progress, trials_.size()) {}

  Result<Analysis> Run() {
    analysis_.source = checkpoint_.root;
    analysis_.source_bytes = checkpoint_.size_bytes();
    ENTROFS_RETURN_IF_ERROR(FindMatrices());
    if (matrices_.empty()) trials_.resize(1);
    for (const Trial& trial : trials_) {
      progress_.Next(trial.title, analysis_.source_bytes);
      ENTROFS_RETURN_IF_ERROR(Try(trial));
    }
    std::set<std::string> told;
    std::erase_if(analysis_.warnings, [&](const std::string& warning) { return !told.insert(warning).second; });
    return std::move(analysis_);
  }

 private:
  // The matrices are those that the first quantizing scheme chooses.
  Status FindMatrices() {
    Result<tree::OutputTree> tree = quantize::QuantizedTree(checkpoint_, trials_[1].options, pool_);
    if (!tree && tree.error().code == ErrorCode::kUnsupported) {
      analysis_.warnings.push_back(tree.error().message + "; only the lossless size is shown");
      return OkStatus();
    }
    if (!tree) return std::move(tree.error());
    CollectMatrices(*tree);
    if (!matrices_.empty() || !options_.include.empty()) return SurveyMatrices();
    for (Trial& trial : trials_) trial.options.include = {"*"};
    ENTROFS_ASSIGN_OR_RETURN(tree::OutputTree all, quantize::QuantizedTree(checkpoint_, trials_[1].options, pool_));
    CollectMatrices(all);
    return SurveyMatrices();
  }

  void CollectMatrices(const tree::OutputTree& tree) {
    std::set<Key> quantized;
    for (const tree::OutputFile& file : tree.files) {
      for (const tree::FilePart& part : file.parts) {
        const auto* tensor = std::get_if<tree::OutputTensor>(&part);
        if (tensor != nullptr && tensor->error) quantized.insert({file.path, tensor->belongs_to});
      }
    }
    for (const source::CheckpointFile& file : checkpoint_.files) {
      if (!file.header) continue;
      for (const source::TensorInfo& info : file.header->tensors) {
        if (!quantized.contains({file.path, info.name})) continue;
        numbers_[{file.path, info.name}] = matrices_.size();
        matrices_.push_back(tree::UnchangedTensor(file, info));
        analysis_.matrices.push_back({file.path, info.name, info.dtype, info.shape, info.element_count(), {}, 0});
      }
    }
  }

  Status SurveyMatrices() {
    for (size_t i = 0; i < matrices_.size(); ++i) {
      ENTROFS_ASSIGN_OR_RETURN(analysis_.matrices[i].survey, SurveyMatrix(matrices_[i], pool_));
      analysis_.matrices[i].outlier_columns = OutlierColumns(analysis_.matrices[i].survey).size();
    }
    return OkStatus();
  }

  Status Try(const Trial& trial) {
    if (trial.kind == Trial::Kind::kLossless) return Rehearse(trial, tree::LosslessTree(checkpoint_));
    if (trial.kind == Trial::Kind::kOutliers) return TryOutliers(trial);
    if (trial.kind == Trial::Kind::kSmoothed) return TrySmoothed(trial);
    if (trial.options.trellis) return TryTrellis(trial);
    ENTROFS_ASSIGN_OR_RETURN(tree::OutputTree tree,
                             quantize::FittedTree(checkpoint_, trial.options, PackOptionsFor(trial), pool_));
    return Rehearse(trial, tree);
  }

  Status TryTrellis(const Trial& trial) {
    ENTROFS_ASSIGN_OR_RETURN(
        tree::OutputTree tree,
        quantize::FittedTree(checkpoint_, trial.options, PackOptionsFor(trial), pool_, quantize::Precision::kSampled));
    ENTROFS_RETURN_IF_ERROR(Rehearse(trial, tree, pack::Rehearsal::kForetold));
    // Only the noise needs an estimate.
    std::vector<Cost>& costs = analysis_.schemes.back().matrices;
    for (size_t i = 0; i < costs.size(); ++i) {
      if (costs[i].error) costs[i].error->signal_energy = analysis_.matrices[i].survey.energy;
      if (costs[i].output_error) costs[i].output_error->signal_energy = OutputSignalOf(i);
    }
    return OkStatus();
  }

  // Tries files of matrices alone, as nothing reads such files; the rest is as in the lossless archive.
  Status PackMatrices(const Trial& trial, std::map<std::string, tree::OutputFile>&& files) {
    tree::OutputTree tree;
    for (auto& [path, file] : files) {
      file.path = path;
      tree.files.push_back(std::move(file));
    }
    ENTROFS_RETURN_IF_ERROR(Rehearse(trial, tree));
    SchemeCosts& costs = analysis_.schemes.back();
    const SchemeCosts& lossless = analysis_.schemes.front();
    costs.archive_bytes = lossless.archive_bytes - lossless.Total().archive_bytes + costs.Total().archive_bytes;
    return OkStatus();
  }

  bool KnowsInputsOf(const Trial& trial, size_t matrix) const {
    return trial.options.calibration && trial.options.calibration->Knows(matrices_[matrix].name);
  }

  Status TryOutliers(const Trial& trial) {
    std::map<std::string, tree::OutputFile> files;
    for (size_t i = 0; i < matrices_.size(); ++i) {
      const MatrixFacts& facts = analysis_.matrices[i];
      const std::vector<uint64_t> columns = OutlierColumns(facts.survey);
      const tree::OutputTensor rest = WithoutColumns(matrices_[i], columns);
      quantize::Options options = OptionsForOne(trial);
      if (KnowsInputsOf(trial, i)) options.calibration = trial.options.calibration;
      ENTROFS_ASSIGN_OR_RETURN(quantize::Plan plan, quantize::PlanQuantization(options, {&rest, 1}, pool_));
      tree::OutputFile& file = files[facts.file];
      for (tree::OutputTensor& output : plan.tensors[0].outputs) {
        if (output.error) output.error->signal_energy = facts.survey.energy;
        if (output.output_error) output.output_error->signal_energy = OutputSignalOf(i);
        file.parts.push_back(std::move(output));
      }
      if (!columns.empty()) file.parts.push_back(OnlyColumns(matrices_[i], columns));
    }
    return PackMatrices(trial, std::move(files));
  }

  // As an earlier scheme found it, which all measure alike.
  double OutputSignalOf(size_t matrix) const {
    for (const SchemeCosts& scheme : analysis_.schemes) {
      const std::optional<tree::QuantizationError>& error = scheme.matrices[matrix].output_error;
      if (error) return error->signal_energy;
    }
    return 0;
  }

  // Matrices with the same inputs share their factors, as they would where the layer before is divided by them.
  Status TrySmoothed(const Trial& trial) {
    std::map<std::pair<std::string, std::vector<float>>, std::vector<float>> magnitudes;  // by file and moments
    std::vector<std::vector<float>> moments(matrices_.size());
    for (size_t i = 0; i < matrices_.size(); ++i) {
      if (!KnowsInputsOf(trial, i)) continue;
      ENTROFS_ASSIGN_OR_RETURN(moments[i],
                               trial.options.calibration->Moments(matrices_[i].name, matrices_[i].shape[1]));
      const std::vector<float>& own = analysis_.matrices[i].survey.column_magnitudes;
      std::vector<float>& all = magnitudes[{analysis_.matrices[i].file, moments[i]}];
      all.resize(own.size());
      for (size_t j = 0; j < own.size(); ++j) all[j] = std::max(all[j], own[j]);
    }
    std::map<std::string, tree::OutputFile> files;
    for (size_t i = 0; i < matrices_.size(); ++i) {
      std::vector<float> factors(matrices_[i].shape[1], 1);
      if (!moments[i].empty()) {
        factors = SmoothingFactors(moments[i], magnitudes[{analysis_.matrices[i].file, moments[i]}]);
      }
      ENTROFS_ASSIGN_OR_RETURN(std::vector<tree::OutputTensor> outputs,
                               Smoothed(trial, matrices_[i], factors, moments[i], pool_));
      tree::OutputFile& file = files[analysis_.matrices[i].file];
      for (tree::OutputTensor& output : outputs) file.parts.push_back(std::move(output));
    }
    return PackMatrices(trial, std::move(files));
  }

  Status Rehearse(const Trial& trial, const tree::OutputTree& tree,
                  pack::Rehearsal rehearsal = pack::Rehearsal::kExact) {
    ENTROFS_ASSIGN_OR_RETURN(pack::PackResult packed,
                             pack::RehearsePacking(tree, PackOptionsFor(trial), rehearsal, pool_, progress_));
    analysis_.warnings.insert(analysis_.warnings.end(), tree.warnings.begin(), tree.warnings.end());
    SchemeCosts& costs = analysis_.schemes.emplace_back();
    costs.trial = trial;
    costs.archive_bytes = packed.archive_bytes;
    costs.matrices.resize(matrices_.size());
    for (const report::TensorReport& tensor : packed.report.tensors) {
      auto found = numbers_.find({tensor.file, tensor.belongs_to});
      if (found == numbers_.end()) continue;
      Cost& cost = costs.matrices[found->second];
      cost.weight_count += tensor.weight_count;
      cost.archive_bytes += tensor.archive_bytes;
      cost.entropy_bits += static_cast<double>(tensor.entropy_bits);
      if (tensor.error) cost.error = tensor.error;
      if (tensor.output_error) cost.output_error = tensor.output_error;
    }
    return trial.keeps_symbols ? CountSymbols(tree, numbers_, pool_, costs) : OkStatus();
  }

  const source::Checkpoint& checkpoint_;
  const TrialOptions& options_;
  std::vector<Trial> trials_;
  ThreadPool& pool_;
  TrialProgress progress_;
  std::vector<tree::OutputTensor> matrices_;  // as they are
  std::map<Key, size_t> numbers_;             // of the matrices
  Analysis analysis_;
};

}  // namespace

double Cost::bits_per_weight() const {
  return 8.0 * static_cast<double>(archive_bytes) / static_cast<double>(std::max<uint64_t>(1, weight_count));
}

double Cost::entropy_bits_per_weight() const {
  return entropy_bits / static_cast<double>(std::max<uint64_t>(1, weight_count));
}

double Cost::OutputSqnrDb() const {
  return output_error ? output_error->SqnrDb() : std::numeric_limits<double>::infinity();
}

double Cost::SqnrDb() const { return error ? error->SqnrDb() : std::numeric_limits<double>::infinity(); }

Cost SchemeCosts::Total() const {
  Cost total;
  for (const Cost& cost : matrices) {
    total.weight_count += cost.weight_count;
    total.archive_bytes += cost.archive_bytes;
    total.entropy_bits += cost.entropy_bits;
    if (cost.output_error) {
      if (!total.output_error) total.output_error.emplace();
      *total.output_error += *cost.output_error;
    }
    if (!cost.error) continue;
    if (!total.error) total.error.emplace();
    *total.error += *cost.error;
  }
  return total;
}

std::vector<size_t> SchemeCosts::WorstFirst() const {
  std::vector<size_t> order(matrices.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return matrices[a].SqnrDb() < matrices[b].SqnrDb(); });
  return order;
}

Result<Analysis> Analyze(const source::Checkpoint& checkpoint, const TrialOptions& options, ThreadPool& pool,
                         read::Progress& progress) {
  return Analyzer(checkpoint, options, pool, progress).Run();
}

}  // namespace entrofs::packer::analyze
