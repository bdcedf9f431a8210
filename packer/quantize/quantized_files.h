#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "packer/quantize/forms/form.h"
#include "packer/quantize/options.h"
#include "packer/source/checkpoint.h"
#include "packer/tree/output_tree.h"

namespace entrofs::packer::quantize {

// "a/b/" of "a/b/c", "" of "c".
std::string FolderOf(const std::string& path);

// The text of a JSON file of the checkpoint. kUnsupported when it is far too large for one.
Result<std::string> ReadText(const source::CheckpointFile& file);

// The same error, if it was kInvalidArgument as kUnsupported: the checkpoint is at fault, not the command line.
Error NotPossible(Error error);

// What became of the tensors of a checkpoint.
struct PlannedTensors {
  // Of files with quantized tensors: these, by the input's name.
  using Quantized = std::map<std::string, forms::TensorPlan>;
  std::map<const source::CheckpointFile*, Quantized> by_file;
  // Of folders with safetensors files ("" or "a/b/"): all their tensors.
  std::map<std::string, std::vector<forms::TensorPlan>> by_folder;
};

// The files of the checkpoint in the form of a runtime that computes on codes, as a tree that shows them and, where the
// values can be computed, as the view `source` beside it: safetensors files with quantized tensors get new headers and
// tensors, config.json a quantization_config, an index.json the new names, files and total size; all else is unchanged.
// Errors name the file.
Result<tree::OutputTree> PackedTree(const source::Checkpoint& checkpoint, const PlannedTensors& planned,
                                    Runtime runtime);

// The files of the checkpoint as they were, quantized tensors as their values: a tree that stores codes, scales and all
// else and shows only the view `source`. kUnsupported, naming the tensor, where values cannot be computed.
Result<tree::OutputTree> SourceTree(const source::Checkpoint& checkpoint, const PlannedTensors& planned);

// Whether the tree holds a tensor that was quantized.
bool HoldsQuantizedTensors(const tree::OutputTree& tree);

}  // namespace entrofs::packer::quantize
