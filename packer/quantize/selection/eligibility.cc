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

// What a tensor is by the name of its module, in lower case.
Role RoleByName(const std::string& module) {
  const std::string last = module.substr(module.rfind('.') + 1);
  if (module.find("embed") != std::string::npos && last != "embed_out") return Role::kEmbedding;
  if (IsOneOf(last, kEmbeddings) || last.ends_with("_emb")) return Role::kEmbedding;
  if (IsAdapterFactor(module)) return Role::kOther;
  if (last.find("norm") != std::string::npos) return Role::kOther;
  if (IsOneOf(last, kHeads) || module == "output" || HasHeadParent(module)) return Role::kHead;
  return Role::kLinear;
}

Decision DecideOnLinear(const tree::OutputTensor& tensor, bool is_gpt2) {
  if (!arithmetic::IsQuantizable(tensor.dtype)) return {false, "no BF16, F16 or F32"};
  if (!IsFloatMatrix(tensor)) return {false, "no matrix"};
  if (is_gpt2 && BelongsToGpt2Block(tensor.name)) return {false, "a transposed Conv1D"};
  switch (RoleOf(tensor)) {
    case Role::kLinear:
      return {true, "linear"};
    case Role::kHead:
      return {false, "a head or router"};
    case Role::kEmbedding:
      return {false, "an embedding"};
    case Role::kOther:
      break;
  }
  return {false, "no weight of a Linear layer"};
}

// Parameters that are no products' weights, whatever their shape: biases and tables of them, states, tokens.
bool IsNoWeight(const std::string& module, const std::string& last) {
  return last.ends_with("bias") || last.find("bias_table") != std::string::npos || last.ends_with("token") ||
         last.ends_with("tokens") || last.ends_with("latents") || last == "a_log" ||
         module.find("position") != std::string::npos || last.find("pos_") == 0;
}

Decision DecideOnWeights(const tree::OutputTensor& tensor) {
  if (!arithmetic::IsQuantizable(tensor.dtype)) return {false, "no BF16, F16 or F32"};
  const std::optional<arithmetic::QuantizedMatrix::Shape> matrix = MatrixShapeOf(tensor.shape);
  if (!matrix) return {false, "fewer than two dimensions"};
  const std::string module = Lower(ModuleName(tensor.name));
  if (IsNoWeight(module, module.substr(module.rfind('.') + 1))) return {false, "a bias, a position or a token"};
  switch (RoleByName(module)) {
    case Role::kHead:
      return {false, "a head or router"};
    case Role::kEmbedding:
      return {false, "an embedding"};
    case Role::kOther:
      return {false, "a norm or an adapter"};
    case Role::kLinear:
      break;
  }
  if (matrix->rows < kLeastSide || matrix->columns < kLeastSide) return {false, "a side below 16"};
  if (matrix->element_count() < kLeastWeights) return {false, "fewer than 4096 values"};
  return {true,
          tensor.shape.size() == 2 ? "a matrix" : "a matrix in " + std::to_string(tensor.shape.size()) + " dimensions"};
}

}  // namespace

std::string ModuleName(std::string_view tensor_name) {
  if (tensor_name.ends_with(kWeightSuffix)) tensor_name.remove_suffix(kWeightSuffix.size());
  return std::string(tensor_name);
}

Role RoleOf(const tree::OutputTensor& tensor) {
  if (!IsFloatMatrix(tensor) || !tensor.name.ends_with(kWeightSuffix)) return Role::kOther;
  return RoleByName(Lower(ModuleName(tensor.name)));
}

bool MatchesPattern(std::string_view name, const std::string& pattern) {
  return fnmatch(pattern.c_str(), std::string(name).c_str(), FNM_NOESCAPE) == 0;
}

std::optional<arithmetic::QuantizedMatrix::Shape> MatrixShapeOf(const std::vector<uint64_t>& shape) {
  if (shape.size() < 2) return std::nullopt;
  uint64_t count = 1;
  for (uint64_t side : shape) count *= side;
  if (count == 0) return std::nullopt;
  const bool is_convolution = shape.size() > 3 || (shape.size() == 3 && shape[2] < kLeastSide);
  const uint64_t rows = is_convolution ? shape[0] : count / shape.back();
  return arithmetic::QuantizedMatrix::Shape{rows, count / rows};
}

std::vector<Decision> SelectTensors(Reach reach, std::span<const tree::OutputTensor> tensors,
                                    const std::vector<std::string>& include, const std::vector<std::string>& exclude) {
  const bool is_gpt2 = std::any_of(tensors.begin(), tensors.end(), IsConv1d);
  std::vector<Decision> decisions;
  for (const tree::OutputTensor& tensor : tensors) {
    Decision decision = reach == Reach::kAllWeights ? DecideOnWeights(tensor) : DecideOnLinear(tensor, is_gpt2);
    const bool is_possible = reach == Reach::kAllWeights
                                 ? arithmetic::IsQuantizable(tensor.dtype) && MatrixShapeOf(tensor.shape).has_value()
                                 : IsFloatMatrix(tensor);
    if (!decision.is_selected && is_possible && MatchesAny(tensor.name, include)) decision = {true, "--include"};
    if (decision.is_selected && MatchesAny(tensor.name, exclude)) decision = {false, "--exclude"};
    decisions.push_back(std::move(decision));
  }
  return decisions;
}

}  // namespace entrofs::packer::quantize::selection
