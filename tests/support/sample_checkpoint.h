#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "packer/source/tensor.h"

// Small checkpoints on disk, made up here, and what tests need around them.
namespace entrofs::testing_support {

struct SampleTensor {
  std::string name;
  packer::source::Dtype dtype;
  std::vector<uint64_t> shape;
  std::string bytes;
};

// Normally distributed weights, a few of them outliers, in BF16, F16 or F32; the same for the same seed.
SampleTensor Weights(const std::string& name, packer::source::Dtype dtype, const std::vector<uint64_t>& shape,
                     uint32_t seed);

// The text of a safetensors file with these tensors, in this order.
std::string SafetensorsFile(const std::vector<SampleTensor>& tensors);

// Creates missing folders.
void WriteFile(const std::string& path, const std::string& content);
std::string ReadFile(const std::string& path);

// A Llama-shaped checkpoint of two layers (hidden size 64, odd feed-forward size 172): config.json, tokenizer.json, and
// one model.safetensors or, with `shards`, two shards with an index.json.
void WriteLlama(const std::string& folder, packer::source::Dtype dtype, bool shards);

// What differs between two folders, one line; empty when they hold the same files with the same bytes.
std::string Difference(const std::string& a, const std::string& b);

// The real checkpoints, in $ENTROFS_DATA or beside the source tree; they may be missing.
std::string DataFolder();

}  // namespace entrofs::testing_support
