#include "packer/quantize/selection/eligibility.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "packer/quantize/arithmetic/float_formats.h"

namespace entrofs::packer::quantize::selection {
namespace {

constexpr std::string_view kWeightSuffix = ".weight";

// The rules, by the last part of a module's name. Scores of words, classes and experts; the routers of Mixtral, Granite
// and DBRX.
constexpr std::array<std::string_view, 13> kHeads = {
    "lm_head",      "embed_out", "output_projection",  "output_layer", "score", "head", "classifier", "qa_outputs",
    "lm_head_proj", "router",    "shared_expert_gate", "gate",         "wg"};
// Tables that are looked up; `w` is that of the first GPT.
constexpr std::array<std::string_view, 8> kEmbeddings = {"wte", "wpe",      "shared",       "relative_attention_bias",
                                                         "emb", "tok_embd", "tokens_embed", "w"};
// Parts anywhere in a name that decide for what is below them: lists of heads, routers made of layers.
constexpr std::array<std::string_view, 2> kHeadParents = {"lm_heads", "router"};

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

bool IsFloatMatrix(const tree::OutputTensor& tensor) {
  return tensor.shape.size() == 2 && arithmetic::IsQuantizable(tensor.dtype) && tensor.shape[0] > 0 &&
         tensor.shape[1] > 0;
}

template <size_t n>
bool IsOneOf(std::string_view name, const std::array<std::string_view, n>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// GPT-2 multiplies by transposed matrices, which is visible where query, key and value are one: [n, 3n].
bool IsConv1d(const tree::OutputTensor& tensor) {
  return tensor.name.ends_with("attn.c_attn.weight") && tensor.shape.size() == 2 &&
         tensor.shape[1] == 3 * tensor.shape[0];
}

bool BelongsToGpt2Block(std::string_view name) {
  return name.ends_with(".c_attn.weight") || name.ends_with(".c_proj.weight") || name.ends_with(".c_fc.weight") ||
         name.ends_with(".q_attn.weight");
}

bool HasHeadParent(std::string_view module) {
  const std::string dotted = "." + std::string(module) + ".";
  return std::any_of(kHeadParents.begin(), kHeadParents.end(), [&](std::string_view parent) {
    return dotted.find("." + std::string(parent) + ".") != std::string::npos;
  });
}

// The factors of LoRA and its kin, by the names that peft gives them.
bool IsAdapterFactor(std::string_view module) {
  return module.find("lora_") != std::string_view::npos || module.starts_with("base_model.model.");
}

bool MatchesAny(std::string_view name, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return MatchesPattern(name, pattern); });
}

}  // namespace

std::string ModuleName(std::string_view tensor_name) {
  if (tensor_name.ends_with(kWeightSuffix)) tensor_name.remove_suffix(kWeightSuffix.size());
  return std::string(tensor_name);
}

Role RoleOf(const tree::OutputTensor& tensor) {
  if (!IsFloatMatrix(tensor) || !tensor.name.ends_with(kWeightSuffix)) return Role::kOther;
  std::string module = Lower(ModuleName(tensor.name));
  std::string last = module.substr(module.rfind('.') + 1);
  if (module.find("embed") != std::string::npos && last != "embed_out") return Role::kEmbedding;
  if (IsOneOf(last, kEmbeddings) || last.ends_with("_emb")) return Role::kEmbedding;
  if (IsAdapterFactor(module)) return Role::kOther;
  if (last.find("norm") != std::string::npos) return Role::kOther;
  if (IsOneOf(last, kHeads) || module == "output" || HasHeadParent(module)) return Role::kHead;
  return Role::kLinear;
}

bool MatchesPattern(std::string_view name, const std::string& pattern) {
  return fnmatch(pattern.c_str(), std::string(name).c_str(), FNM_NOESCAPE) == 0;
}

std::vector<bool> SelectTensors(std::span<const tree::OutputTensor> tensors, const std::vector<std::string>& include,
                                const std::vector<std::string>& exclude) {
  const bool is_gpt2 = std::any_of(tensors.begin(), tensors.end(), IsConv1d);
  std::vector<bool> selected;
  for (const tree::OutputTensor& tensor : tensors) {
    bool select = RoleOf(tensor) == Role::kLinear && !(is_gpt2 && BelongsToGpt2Block(tensor.name));
    select = select || (IsFloatMatrix(tensor) && MatchesAny(tensor.name, include));
    selected.push_back(select && !MatchesAny(tensor.name, exclude));
  }
  return selected;
}

}  // namespace entrofs::packer::quantize::selection
