#include "packer/cli/view_choice.h"

#include <set>

#include "archive/paths.h"
#include "packer/quantize/quantized_files.h"
#include "packer/quantize/selection/packed_architectures.h"

namespace entrofs::packer::cli {
namespace {

using quantize::selection::PackedLoading;

// What the configurations of a checkpoint say they are: model types, "" for one that says nothing.
Result<std::set<std::string>> ModelTypesOf(const source::Checkpoint& checkpoint) {
  std::set<std::string> types;
  for (const source::CheckpointFile& file : checkpoint.files) {
    const bool is_pipeline = file.path == "model_index.json";
    if (is_pipeline) types.insert("a pipeline of diffusers");
    if (file.path != "config.json" && !file.path.ends_with("/config.json")) continue;
    ENTROFS_ASSIGN_OR_RETURN(const std::string text, quantize::ReadText(file));
    types.insert(quantize::selection::ModelTypeOf(text));
  }
  return types;
}

// The loading of all of them: right if each is, wrong if one is; `culprit` becomes one that is not right.
PackedLoading LoadingOfAll(const std::set<std::string>& types, std::string& culprit) {
  PackedLoading loading = types.empty() ? PackedLoading::kUnknown : PackedLoading::kRight;
  for (const std::string& type : types) {
    const PackedLoading own = quantize::selection::PackedLoadingOf(type);
    if (own == PackedLoading::kRight || loading == PackedLoading::kWrong) continue;
    loading = own;
    culprit = type;
  }
  return loading;
}

std::string Described(const std::string& type) {
  return type.empty() ? "a model whose config.json names no model_type" : "model type " + archive::Printable(type);
}

}  // namespace

Result<ViewChoice> ChooseView(const source::Checkpoint& checkpoint, const std::string& asked, bool is_form_asked) {
  if (asked == "source") {
    if (is_form_asked)
      return Error{ErrorCode::kInvalidArgument, "--layout is about packed files: not with --view source"};
    return ViewChoice{false, "view source, as asked for"};
  }
  ENTROFS_ASSIGN_OR_RETURN(const std::set<std::string> types, ModelTypesOf(checkpoint));
  std::string culprit;
  const PackedLoading loading = LoadingOfAll(types, culprit);
  const std::string who = types.empty() ? "a checkpoint without config.json" : Described(culprit);
  if (asked == "packed" || is_form_asked) {
    if (loading == PackedLoading::kWrong) {
      return Error{ErrorCode::kUnsupported, who + ": packed weights do not load right there; use --view source"};
    }
    if (loading == PackedLoading::kRight) return ViewChoice{true, "packed files, as asked for"};
    return ViewChoice{true, "packed files, as asked for; nobody has tried how " + who + " loads them"};
  }
  if (loading == PackedLoading::kRight)
    return ViewChoice{true, "packed files, which this architecture is known to load"};
  return ViewChoice{false, "view source: " + who +
                               (loading == PackedLoading::kWrong ? " does not load packed weights right"
                                                                 : " is not known to load packed weights") +
                               "; --view packed makes packed files"};
}

}  // namespace entrofs::packer::cli
