#pragma once

#include <string>
#include <string_view>

// What runtimes make of packed checkpoints, by architecture: measured, never hoped.
namespace entrofs::packer::quantize::selection {

enum class PackedLoading {
  kRight,    // transformers gave the same logits from packed codes as from an independently dequantized twin
  kWrong,    // it does not load, or loads with other weights
  kUnknown,  // nobody has tried
};

// How checkpoints of this `model_type` (of a config.json) load in the form of compressed-tensors. What is kWrong is
// refused in packed form; what is kUnknown is packed only when asked for by name.
PackedLoading PackedLoadingOf(std::string_view model_type);

// The model_type that a config.json names at its top level; empty when it names none or is not JSON.
std::string ModelTypeOf(std::string_view config_json);

}  // namespace entrofs::packer::quantize::selection
