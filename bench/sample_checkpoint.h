#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "packer/source/tensor.h"

// Made-up checkpoints for demonstrations and measurements: Llama's tensors, names and files, with weights whose
// statistics are those of trained models (rows of different spread, a few outliers), so that they quantize and compress
// as real ones do. What such a model says is noise.
namespace entrofs::bench {

struct SampleOptions {
  uint64_t size_bytes = 64'000'000;                            // of the weights, met within some per cent
  packer::source::Dtype dtype = packer::source::Dtype::kBf16;  // BF16, F16 or F32
  unsigned shards = 1;
  uint64_t seed = 1;
};

// The dimensions of a Llama model.
struct SampleShape {
  uint64_t hidden = 0;
  uint64_t intermediate = 0;
  uint64_t layers = 0;
  uint64_t heads = 0;
  uint64_t key_value_heads = 0;
  uint64_t vocabulary = 0;

  uint64_t weight_count() const;
};

// Dimensions in the proportions of real models, about `weight_count` weights in all. At least the smallest shape.
SampleShape ChooseShape(uint64_t weight_count);

// The model's tensors in file order, offsets not set.
std::vector<packer::source::TensorInfo> ListTensors(const SampleShape& shape, packer::source::Dtype dtype);

// Writes config.json, generation_config.json, tokenizer.json, tokenizer_config.json and the safetensors files into
// `directory`, which is created and must be empty. Holds one row of weights at a time. The same options give the same
// bytes. kInvalidArgument, kIo.
Status WriteSampleCheckpoint(const SampleOptions& options, const std::string& directory);

// In sample_files.cc: the texts of the small files.
std::string SampleConfig(const SampleShape& shape, packer::source::Dtype dtype);
std::string SampleGenerationConfig();
// One token per byte and the special tokens <s> and </s>.
std::string SampleTokenizer();
std::string SampleTokenizerConfig();

}  // namespace entrofs::bench
