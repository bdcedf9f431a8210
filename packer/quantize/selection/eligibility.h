#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "packer/quantize/arithmetic/matrix.h"
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

// What quantized tensors are to be shown as, which decides what they may be.
enum class Reach {
  kLinearLayers,  // codes, for runtimes that compute on them: the matrices of Linear layers alone
  kAllWeights,    // values, where the form of a tensor is no obstacle: experts in three dimensions, convolutions, ...
};

// A tensor as the matrix it is quantized as: rows with a scale of their own where the scheme has one per row. Of two
// dimensions, these; of experts, [experts x rows, columns]; of convolutions, [outputs, inputs x kernel]. None for a
// tensor of fewer dimensions or no elements.
std::optional<arithmetic::QuantizedMatrix::Shape> MatrixShapeOf(const std::vector<uint64_t>& shape);

// Whether a tensor is quantized, and why or why not, in a few words for people.
struct Decision {
  bool is_selected = false;
  std::string reason;
};

// For each tensor: with kLinearLayers, Linear matrices and, among other float matrices, those that match an `include`
// pattern; with kAllWeights, float tensors of two or more dimensions and kLeastWeights values or more, none of whose
// matrix's sides is below kLeastSide, that are no embedding, positional table, head, router, norm, bias or adapter by
// name, and among other float tensors of two or more dimensions those that match an `include` pattern. Never those that
// match an `exclude` pattern. Matrices of GPT-2's Conv1D layers, which readers of packed checkpoints cannot replace,
// are selected with kAllWeights only.
inline constexpr uint64_t kLeastWeights = 4096;
inline constexpr uint64_t kLeastSide = 16;
std::vector<Decision> SelectTensors(Reach reach, std::span<const tree::OutputTensor> tensors,
                                    const std::vector<std::string>& include, const std::vector<std::string>& exclude);

// "model.layers.0.mlp.up_proj" of "model.layers.0.mlp.up_proj.weight"; other names as they are.
std::string ModuleName(std::string_view tensor_name);

}  // namespace entrofs::packer::quantize::selection
