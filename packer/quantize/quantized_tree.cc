#include "packer/quantize/quantized_tree.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "packer/quantize/archive_estimate.h"
#include "packer/quantize/forms/quantization_config.h"
#include "packer/source/safetensors.h"
#include "packer/source/shard_index.h"

namespace entrofs::packer::quantize {
namespace {

constexpr uint64_t kMaxJsonBytes = 256 << 20;

// "a/b/" of "a/b/c", "" of "c".
std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

std::vector<uint8_t> ToBytes(const std::string& text) { return {text.begin(), text.end()}; }

// The checkpoint, not the command line, is at fault.
Error NotPossible(Error error) {
  if (error.code == ErrorCode::kInvalidArgument) error.code = ErrorCode::kUnsupported;
  return error;
}

Result<std::string> ReadText(const source::CheckpointFile& file) {
  if (file.file->size() > kMaxJsonBytes) return Error{ErrorCode::kUnsupported, file.path + ": is too large"};
  std::string text(file.file->size(), '\0');
  ENTROFS_RETURN_IF_ERROR(file.file->ReadAt(0, {reinterpret_cast<uint8_t*>(text.data()), text.size()}));
  return text;
}

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
    tree_ = {};
    outputs_.clear();
    plans_.clear();
    if (!is_surveyed_) ENTROFS_RETURN_IF_ERROR(SurveyAll());
    is_surveyed_ = true;
    for (SurveyedGroup& group : groups_) {
      Status status = PlanGroup(group, bits_per_weight, archive_bytes, precision);
      if (!status) return std::move(status.error()).WithContext(group.owners.front()->path);
    }
    for (const auto& [folder, plan] : plans_) {
      if (by_path_.contains(folder + "config.json")) continue;
      tree_.loading_warnings.push_back((folder.empty() ? checkpoint_.root : folder) +
                                       ": has no config.json to say how the tensors are quantized");
    }
    tree_.directories = checkpoint_.directories;
    tree_.warnings.insert(tree_.warnings.end(), checkpoint_.warnings.begin(), checkpoint_.warnings.end());
    for (const source::CheckpointFile& file : checkpoint_.files) {
      Result<tree::OutputFile> output = Convert(file);
      if (!output) return NotPossible(std::move(output.error())).WithContext(file.path);
      tree_.files.push_back(std::move(*output));
    }
    return std::move(tree_);
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
    tree_.warnings.insert(tree_.warnings.end(), plan.warnings.begin(), plan.warnings.end());
    for (size_t i = 0; i < group.owners.size(); ++i) {
      const source::CheckpointFile* owner = group.owners[i];
      if (plan.tensors[i].form) outputs_[owner][group.planner.tensors()[i].name] = plan.tensors[i].outputs;
      plans_[FolderOf(owner->path)].tensors.push_back(std::move(plan.tensors[i]));
    }
    return OkStatus();
  }

  Result<tree::OutputFile> Convert(const source::CheckpointFile& file) const {
    if (auto changed = outputs_.find(&file); changed != outputs_.end()) return ConvertTensors(file, changed->second);
    if (source::IsShardIndex(file.path)) return ConvertIndex(file);
    auto plan = plans_.find(FolderOf(file.path));
    if (plan != plans_.end() && file.path == plan->first + "config.json") return ConvertConfig(file, plan->second);
    return tree::UnchangedFile(file);
  }

  // The quantized tensors of one file, by input name.
  using Replacements = std::map<std::string, std::vector<tree::OutputTensor>>;

  Result<tree::OutputFile> ConvertTensors(const source::CheckpointFile& file, const Replacements& replacements) const {
    std::vector<tree::OutputTensor> tensors;
    for (const source::TensorInfo& info : file.header->tensors) {
      auto found = replacements.find(info.name);
      if (found == replacements.end()) {
        tensors.push_back(tree::UnchangedTensor(file, info));
      } else {
        tensors.insert(tensors.end(), found->second.begin(), found->second.end());
      }
    }
    // As safetensors writes them: elements that need the most alignment first, then by name; but scales and the like
    // together, where they repeat each other.
    auto key = [](const tree::OutputTensor& tensor) {
      return std::tuple(-static_cast<int>(tensor.dtype), tensor.weight_count == 0, std::string_view(tensor.name));
    };
    std::sort(tensors.begin(), tensors.end(),
              [&](const tree::OutputTensor& a, const tree::OutputTensor& b) { return key(a) < key(b); });
    std::vector<source::TensorInfo> infos;
    infos.reserve(tensors.size());
    for (const tree::OutputTensor& tensor : tensors) {
      infos.push_back({tensor.name, tensor.dtype, tensor.shape, 0, tensor.bytes->size()});
    }
    ENTROFS_ASSIGN_OR_RETURN(std::string header, source::EncodeSafetensorsHeader(infos, file.header->metadata));
    tree::OutputFile output = tree::UnchangedFile(file);
    output.parts = {tree::Literal{"header", tree::BytesInMemory(ToBytes(header))}};
    for (tree::OutputTensor& tensor : tensors) output.parts.push_back(std::move(tensor));
    return output;
  }

  Result<tree::OutputFile> ConvertIndex(const source::CheckpointFile& file) const {
    ENTROFS_ASSIGN_OR_RETURN(std::string text, ReadText(file));
    ENTROFS_ASSIGN_OR_RETURN(std::set<std::string> shards, source::ShardsOf(text));
    source::Renames renames;
    uint64_t total_bytes = 0;
    for (const std::string& shard : shards) {
      const source::CheckpointFile& shard_file = *by_path_.at(FolderOf(file.path) + shard);
      auto changed = outputs_.find(&shard_file);
      for (const source::TensorInfo& info : shard_file.header->tensors) {
        const bool replaced = changed != outputs_.end() && changed->second.contains(info.name);
        if (!replaced) {
          total_bytes += info.size_bytes;
          continue;
        }
        for (const tree::OutputTensor& output : changed->second.at(info.name)) {
          renames[shard][info.name].push_back(output.name);
          total_bytes += output.bytes->size();
        }
      }
    }
    if (renames.empty()) return tree::UnchangedFile(file);
    ENTROFS_ASSIGN_OR_RETURN(std::string rewritten, source::RewriteShardIndex(text, renames, total_bytes));
    return WithContent(file, rewritten);
  }

  Result<tree::OutputFile> ConvertConfig(const source::CheckpointFile& file, const Plan& plan) const {
    ENTROFS_ASSIGN_OR_RETURN(std::string text, ReadText(file));
    ENTROFS_ASSIGN_OR_RETURN(std::string changed, forms::AddQuantizationConfig(text, plan.tensors));
    return changed == text ? tree::UnchangedFile(file) : WithContent(file, changed);
  }

  static tree::OutputFile WithContent(const source::CheckpointFile& file, const std::string& content) {
    tree::OutputFile output = tree::UnchangedFile(file);
    output.parts = {tree::Literal{"content", tree::BytesInMemory(ToBytes(content))}};
    return output;
  }

  const source::Checkpoint& checkpoint_;
  Options options_;
  ThreadPool& pool_;
  FilesByPath by_path_;
  std::map<const source::CheckpointFile*, Replacements> outputs_;  // of files that change
  std::map<std::string, Plan> plans_;                              // by folder, of all its files
  tree::OutputTree tree_;
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
