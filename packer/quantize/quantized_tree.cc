#include "packer/quantize/quantized_tree.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "packer/quantize/already_quantized.h"
#include "packer/quantize/archive_estimate.h"
#include "packer/quantize/quantized_files.h"
#include "packer/source/safetensors.h"
#include "packer/source/shard_index.h"

namespace entrofs::packer::quantize {
namespace {

using FilesByPath = std::map<std::string, const source::CheckpointFile*>;
using Group = std::vector<const source::CheckpointFile*>;

// The safetensors files of a checkpoint in groups whose tensors belong together: the shards of an index, or a file
// alone.
Result<std::vector<Group>> FindGroups(const source::Checkpoint& checkpoint, const FilesByPath& by_path) {
  std::vector<Group> groups;
  std::set<const source::CheckpointFile*> grouped;
  for (const source::CheckpointFile& file : checkpoint.files) {
    if (!source::IsShardIndex(file.path)) continue;
    ENTROFS_ASSIGN_OR_RETURN(std::string text, ReadText(file));
    Result<std::set<std::string>> shards = source::ShardsOf(text);
    if (!shards) return NotPossible(std::move(shards.error())).WithContext(file.path);
    Group& group = groups.emplace_back();
    for (const std::string& shard : *shards) {
      auto found = by_path.find(FolderOf(file.path) + shard);
      if (found == by_path.end() || !found->second->header) {
        return Error{ErrorCode::kUnsupported, file.path + ": names '" + shard + "', which is not there"};
      }
      if (grouped.insert(found->second).second) group.push_back(found->second);
    }
    if (group.empty()) groups.pop_back();
  }
  for (const source::CheckpointFile& file : checkpoint.files) {
    if (file.header && !grouped.contains(&file)) groups.push_back({&file});
  }
  return groups;
}

}  // namespace

class QuantizedTrees::Quantizer {
 public:
  Quantizer(const source::Checkpoint& checkpoint, const Options& options, ThreadPool& pool)
      : checkpoint_(checkpoint), options_(options), pool_(pool) {
    for (const source::CheckpointFile& file : checkpoint.files) by_path_[file.path] = &file;
  }

  Result<tree::OutputTree> Build(double bits_per_weight, std::optional<uint64_t> archive_bytes, Precision precision) {
    if (checkpoint_.files.size() == 1 && checkpoint_.files[0].gguf) {
      return Error{ErrorCode::kUnsupported, checkpoint_.root + ": GGUF files are packed without loss only"};
    }
    planned_ = {};
    warnings_ = checkpoint_.warnings;
    if (!is_surveyed_) {
      ENTROFS_RETURN_IF_ERROR(CheckIsNotQuantized(checkpoint_));
      ENTROFS_RETURN_IF_ERROR(SurveyAll());
    }
    is_surveyed_ = true;
    for (SurveyedGroup& group : groups_) {
      Status status = PlanGroup(group, bits_per_weight, archive_bytes, precision);
      if (!status) return std::move(status.error()).WithContext(group.owners.front()->path);
    }
    ENTROFS_ASSIGN_OR_RETURN(tree::OutputTree tree, options_.packed_view
                                                        ? PackedTree(checkpoint_, planned_, options_.runtime)
                                                        : SourceTree(checkpoint_, planned_));
    tree.warnings = std::move(warnings_);
    if (options_.packed_view) WarnOfMissingConfigs(tree);
    return tree;
  }

 private:
  // One whose tensors were looked at, each in the file `owners` says.
  struct SurveyedGroup {
    std::vector<const source::CheckpointFile*> owners;
    Planner planner;
  };

  Status SurveyAll() {
    ENTROFS_ASSIGN_OR_RETURN(std::vector<Group> groups, FindGroups(checkpoint_, by_path_));
    if (options_.archive_bytes) {
      if (groups.size() > 1) {
        return Error{ErrorCode::kInvalidArgument, "a size can be shared out only among the shards of one model"};
      }
      ENTROFS_RETURN_IF_ERROR(EstimateOtherFiles());
    }
    for (const Group& group : groups) {
      Status status = SurveyGroup(group);
      if (!status) return std::move(status.error()).WithContext(group.front()->path);
    }
    return OkStatus();
  }

  // What a size asked for has to hold besides tensors.
  Status EstimateOtherFiles() {
    for (const source::CheckpointFile& file : checkpoint_.files) {
      if (file.header) continue;
      Result<double> bytes = EstimateArchiveBytes(*file.file, std::nullopt, pool_);
      if (!bytes) return std::move(bytes.error()).WithContext(file.path);
      options_.other_bytes += *bytes;
    }
    return OkStatus();
  }

  Status SurveyGroup(const Group& group) {
    std::vector<tree::OutputTensor> inputs;
    std::vector<const source::CheckpointFile*> owners;
    for (const source::CheckpointFile* file : group) {
      for (const source::TensorInfo& info : file->header->tensors) {
        inputs.push_back(tree::UnchangedTensor(*file, info));
        owners.push_back(file);
      }
    }
    if (inputs.empty()) return OkStatus();
    ENTROFS_ASSIGN_OR_RETURN(Planner planner, Planner::Survey(options_, std::move(inputs), pool_));
    groups_.push_back({std::move(owners), std::move(planner)});
    return OkStatus();
  }

  Status PlanGroup(SurveyedGroup& group, double bits_per_weight, std::optional<uint64_t> archive_bytes,
                   Precision precision) {
    ENTROFS_ASSIGN_OR_RETURN(Plan plan, group.planner.Make(bits_per_weight, archive_bytes, precision, pool_));
    warnings_.insert(warnings_.end(), plan.warnings.begin(), plan.warnings.end());
    for (size_t i = 0; i < group.owners.size(); ++i) {
      const source::CheckpointFile* owner = group.owners[i];
      if (plan.tensors[i].form) planned_.by_file[owner][group.planner.tensors()[i].name] = plan.tensors[i];
      planned_.by_folder[FolderOf(owner->path)].push_back(std::move(plan.tensors[i]));
    }
    return OkStatus();
  }

  void WarnOfMissingConfigs(tree::OutputTree& tree) const {
    for (const auto& [folder, tensors] : planned_.by_folder) {
      if (by_path_.contains(folder + "config.json")) continue;
      tree.loading_warnings.push_back((folder.empty() ? checkpoint_.root : folder) +
                                      ": has no config.json to say how the tensors are quantized");
    }
  }

  const source::Checkpoint& checkpoint_;
  Options options_;
  ThreadPool& pool_;
  FilesByPath by_path_;
  PlannedTensors planned_;
  std::vector<std::string> warnings_;
  bool is_surveyed_ = false;
  std::vector<SurveyedGroup> groups_;
};

QuantizedTrees::QuantizedTrees(const source::Checkpoint& checkpoint, const Options& options, ThreadPool& pool)
    : quantizer_(std::make_unique<Quantizer>(checkpoint, options, pool)) {}
QuantizedTrees::~QuantizedTrees() = default;

Result<tree::OutputTree> QuantizedTrees::Make(double bits_per_weight, std::optional<uint64_t> archive_bytes,
                                              Precision precision) {
  return quantizer_->Build(bits_per_weight, archive_bytes, precision);
}

Result<tree::OutputTree> QuantizedTree(const source::Checkpoint& checkpoint, const Options& options, ThreadPool& pool) {
  return QuantizedTrees(checkpoint, options, pool)
      .Make(options.bits_per_weight, options.archive_bytes, Precision::kMeasured);
}

}  // namespace entrofs::packer::quantize
