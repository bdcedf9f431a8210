#include "packer/quantize/quantized_files.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <variant>

#include "packer/quantize/forms/quantization_config.h"
#include "packer/quantize/source_view.h"
#include "packer/source/safetensors.h"
#include "packer/source/shard_index.h"

namespace entrofs::packer::quantize {
namespace {

constexpr uint64_t kMaxJsonBytes = 256 << 20;

using FilesByPath = std::map<std::string, const source::CheckpointFile*>;

std::vector<uint8_t> ToBytes(const std::string& text) { return {text.begin(), text.end()}; }

tree::OutputFile WithContent(const source::CheckpointFile& file, const std::string& content) {
  tree::OutputFile output = tree::UnchangedFile(file);
  output.parts = {tree::Literal{"content", tree::BytesInMemory(ToBytes(content))}};
  return output;
}

// A safetensors file with its quantized tensors in place of the others.
Result<tree::OutputFile> ConvertTensors(const source::CheckpointFile& file,
                                        const PlannedTensors::Quantized& quantized) {
  std::vector<tree::OutputTensor> tensors;
  for (const source::TensorInfo& info : file.header->tensors) {
    auto found = quantized.find(info.name);
    if (found == quantized.end()) {
      tensors.push_back(tree::UnchangedTensor(file, info));
    } else {
      tensors.insert(tensors.end(), found->second.outputs.begin(), found->second.outputs.end());
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

Result<tree::OutputFile> ConvertIndex(const source::CheckpointFile& file, const FilesByPath& by_path,
                                      const PlannedTensors& planned) {
  ENTROFS_ASSIGN_OR_RETURN(std::string text, ReadText(file));
  ENTROFS_ASSIGN_OR_RETURN(std::set<std::string> shards, source::ShardsOf(text));
  source::Renames renames;
  uint64_t total_bytes = 0;
  for (const std::string& shard : shards) {
    const source::CheckpointFile& shard_file = *by_path.at(FolderOf(file.path) + shard);
    auto changed = planned.by_file.find(&shard_file);
    for (const source::TensorInfo& info : shard_file.header->tensors) {
      const bool replaced = changed != planned.by_file.end() && changed->second.contains(info.name);
      if (!replaced) {
        total_bytes += info.size_bytes;
        continue;
      }
      for (const tree::OutputTensor& output : changed->second.at(info.name).outputs) {
        renames[shard][info.name].push_back(output.name);
        total_bytes += output.bytes->size();
      }
    }
  }
  if (renames.empty()) return tree::UnchangedFile(file);
  ENTROFS_ASSIGN_OR_RETURN(std::string rewritten, source::RewriteShardIndex(text, renames, total_bytes));
  return WithContent(file, rewritten);
}

Result<tree::OutputFile> ConvertConfig(const source::CheckpointFile& file,
                                       const std::vector<forms::TensorPlan>& tensors) {
  ENTROFS_ASSIGN_OR_RETURN(std::string text, ReadText(file));
  ENTROFS_ASSIGN_OR_RETURN(std::string changed, forms::AddQuantizationConfig(text, tensors));
  return changed == text ? tree::UnchangedFile(file) : WithContent(file, changed);
}

Result<tree::OutputFile> Convert(const source::CheckpointFile& file, const FilesByPath& by_path,
                                 const PlannedTensors& planned) {
  if (auto changed = planned.by_file.find(&file); changed != planned.by_file.end()) {
    return ConvertTensors(file, changed->second);
  }
  if (source::IsShardIndex(file.path)) return ConvertIndex(file, by_path, planned);
  auto folder = planned.by_folder.find(FolderOf(file.path));
  if (folder != planned.by_folder.end() && file.path == folder->first + "config.json") {
    return ConvertConfig(file, folder->second);
  }
  return tree::UnchangedFile(file);
}

// Headers are those of packed files, and the shapes of packed matrices are nothing that values are computed from.
bool IsNeededForValues(const tree::FilePart& part) {
  const auto* tensor = std::get_if<tree::OutputTensor>(&part);
  return tensor != nullptr && (tensor->scheme.empty() || tensor->stands_alone);
}

}  // namespace

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

Result<std::string> ReadText(const source::CheckpointFile& file) {
  if (file.file->size() > kMaxJsonBytes) return Error{ErrorCode::kUnsupported, file.path + ": is too large"};
  std::string text(file.file->size(), '\0');
  ENTROFS_RETURN_IF_ERROR(file.file->ReadAt(0, {reinterpret_cast<uint8_t*>(text.data()), text.size()}));
  return text;
}

Error NotPossible(Error error) {
  if (error.code == ErrorCode::kInvalidArgument) error.code = ErrorCode::kUnsupported;
  return error;
}

Result<tree::OutputTree> PackedTree(const source::Checkpoint& checkpoint, const PlannedTensors& planned,
                                    Runtime runtime) {
  FilesByPath by_path;
  for (const source::CheckpointFile& file : checkpoint.files) by_path[file.path] = &file;
  tree::OutputTree tree;
  tree.directories = checkpoint.directories;
  for (const source::CheckpointFile& file : checkpoint.files) {
    Result<tree::OutputFile> output = Convert(file, by_path, planned);
    if (!output) return NotPossible(std::move(output.error())).WithContext(file.path);
    tree.files.push_back(std::move(*output));
  }
  if (!planned.by_file.empty() && !TensorWithoutValues(planned)) {
    AddSourceView(checkpoint, planned, tree);
    tree.name = tree.default_view = Name(runtime);
  }
  return tree;
}

Result<tree::OutputTree> SourceTree(const source::Checkpoint& checkpoint, const PlannedTensors& planned) {
  if (const std::optional<std::string> tensor = TensorWithoutValues(planned)) {
    return Error{ErrorCode::kUnsupported, *tensor + ": the view source cannot compute its values"};
  }
  tree::OutputTree tree;
  for (const source::CheckpointFile& file : checkpoint.files) {
    auto quantized = planned.by_file.find(&file);
    if (quantized == planned.by_file.end()) {
      tree.files.push_back(tree::UnchangedFile(file));
    } else {
      ENTROFS_ASSIGN_OR_RETURN(tree::OutputFile stored, ConvertTensors(file, quantized->second));
      std::erase_if(stored.parts, [](const tree::FilePart& part) { return !IsNeededForValues(part); });
      tree.files.push_back(std::move(stored));
    }
    tree.files.back().is_shown = false;
  }
  AddSourceView(checkpoint, planned, tree);
  tree.default_view = kSourceView;
  return tree;
}

bool HoldsQuantizedTensors(const tree::OutputTree& tree) {
  for (const tree::OutputFile& file : tree.files) {
    for (const tree::FilePart& part : file.parts) {
      const auto* tensor = std::get_if<tree::OutputTensor>(&part);
      if (tensor != nullptr && !tensor->scheme.empty()) return true;
    }
  }
  return false;
}

}  // namespace entrofs::packer::quantize
