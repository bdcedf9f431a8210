#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "packer/tree/output_tensor.h"

// Which tensors of a checkpoint are quantized.
namespace entrofs::packer::quantize::selection {

enum class Role {
  kLinear,     // a matrix that a Linear layer multiplies by: quantized unless excluded
  kHead,       // a Linear layer whose outputs are scores (lm_head, classifiers, expert routers): kept
  kEmbedding,  // a look-up table: kept
  kOther,      // not a matrix of floats: kept
};

// Judged by name, shape and dtype, as the modules of transformers are named.
Role RoleOf(const tree::OutputTensor& tensor);

// True when `name` matches a shell pattern: * (any run of characters, also '.' and '/'), ?, [a-z].
bool MatchesPattern(std::string_view name, const std::string& pattern);

// For each tensor, whether it should be quantized: Linear matrices and, among other float matrices, those that match an
// `include` pattern; never those that match an `exclude` pattern. Matrices of GPT-2's Conv1D layers, which readers of
// quantized checkpoints cannot replace, count as kHead.
std::vector<bool> SelectTensors(std::span<const tree::OutputTensor> tensors, const std::vector<std::string>& include,
                                const std::vector<std::string>& exclude);

// "model.layers.0.mlp.up_proj" of "model.layers.0.mlp.up_proj.weight"; other names as they are.
std::string ModuleName(std::string_view tensor_name);

}  // namespace entrofs::packer::quantize::selection
