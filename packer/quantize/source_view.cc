#include "packer/quantize/source_view.h"

#include <map>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

namespace entrofs::packer::quantize {
namespace {

std::shared_ptr<const RandomAccessFile> SharedBytesOf(const tree::FilePart& part) {
  return std::visit([](const auto& p) -> std::shared_ptr<const RandomAccessFile> { return p.bytes; }, part);
}

// Shows the part as it is stored.
tree::ViewPart AsStored(const tree::FilePart& part) {
  return {tree::NameOf(part), {SharedBytesOf(part)}, std::nullopt};
}

// Whether `stored` holds the checkpoint's own bytes and nothing else.
bool IsAsItWas(const tree::OutputFile& stored, const source::CheckpointFile& file, bool has_quantized_tensors) {
  if (has_quantized_tensors) return false;
  if (file.header || file.gguf) return true;
  return stored.parts.size() == 1 && SharedBytesOf(stored.parts[0]).get() == file.file.get();
}

// The parts of a file that was changed, as they were. What is not among the stored parts goes to `beside`.
std::vector<tree::ViewPart> PartsAsTheyWere(const source::CheckpointFile& file, const tree::OutputFile& stored,
                                            const PlannedTensors::Quantized& quantized,
                                            std::vector<tree::FilePart>& beside) {
  std::map<std::string_view, const tree::FilePart*> stored_tensors;
  for (const tree::FilePart& part : stored.parts) {
    if (std::holds_alternative<tree::OutputTensor>(part)) stored_tensors[tree::NameOf(part)] = &part;
  }
  std::vector<tree::ViewPart> parts;
  for (tree::FilePart& original : tree::UnchangedFile(file).parts) {
    const bool is_tensor = std::holds_alternative<tree::OutputTensor>(original);
    if (auto plan = quantized.find(tree::NameOf(original)); is_tensor && plan != quantized.end()) {
      parts.push_back(*plan->second.values);
    } else if (is_tensor) {
      parts.push_back(AsStored(*stored_tensors.at(tree::NameOf(original))));
    } else {
      parts.push_back(AsStored(original));
      beside.push_back(std::move(original));
    }
  }
  return parts;
}

}  // namespace

std::optional<std::string> TensorWithoutValues(const PlannedTensors& planned) {
  for (const auto& [file, quantized] : planned.by_file) {
    for (const auto& [name, plan] : quantized) {
      if (!plan.values) return name;
    }
  }
  return std::nullopt;
}

void AddSourceView(const source::Checkpoint& checkpoint, const PlannedTensors& planned, tree::OutputTree& tree) {
  static const PlannedTensors::Quantized kNone;
  tree::ViewTree view{kSourceView, checkpoint.directories, {}};
  for (size_t i = 0; i < checkpoint.files.size(); ++i) {
    const source::CheckpointFile& file = checkpoint.files[i];
    const tree::OutputFile stored = tree.files[i];
    auto found = planned.by_file.find(&file);
    const bool has_quantized = found != planned.by_file.end();
    tree::ViewFile shown{file.path, stored.mode, stored.mtime_ns, {}};
    if (IsAsItWas(stored, file, has_quantized)) {
      for (const tree::FilePart& part : stored.parts) shown.parts.push_back(AsStored(part));
    } else {
      tree::OutputFile beside = stored;
      beside.parts.clear();
      beside.is_shown = false;
      shown.parts = PartsAsTheyWere(file, stored, has_quantized ? found->second : kNone, beside.parts);
      tree.files.push_back(std::move(beside));
    }
    view.files.push_back(std::move(shown));
  }
  tree.views.push_back(std::move(view));
}

}  // namespace entrofs::packer::quantize
