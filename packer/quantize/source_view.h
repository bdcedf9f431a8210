#pragma once

#include <optional>
#include <string>

#include "packer/quantize/quantized_files.h"
#include "packer/source/checkpoint.h"
#include "packer/tree/output_tree.h"

// The view that shows a checkpoint as it came, with quantized tensors as the values they stand for.
namespace entrofs::packer::quantize {

inline constexpr const char* kSourceView = "source";

// A quantized tensor whose values no view can compute, if there is one.
std::optional<std::string> TensorWithoutValues(const PlannedTensors& planned);

// Adds the view to `tree`, whose files are those of the checkpoint in their order, each as it was, or with its
// quantized tensors in place of the others, or with other content. What the view shows and no file of the tree holds
// (headers, configurations as they were) is stored beside. Requires: no TensorWithoutValues.
void AddSourceView(const source::Checkpoint& checkpoint, const PlannedTensors& planned, tree::OutputTree& tree);

}  // namespace entrofs::packer::quantize
