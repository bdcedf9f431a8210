#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace entrofs::bench {

// A checkpoint as large as one likes, in the shape of GPT-Neo (six int8 matrices a layer, a scale per row) and its
// archive. The same arguments give the same bytes.
struct SampleModel {
  std::string plain_path;    // a .safetensors file
  std::string archive_path;  // that file, packed with tans
  uint64_t plain_bytes = 0;
  uint64_t archive_bytes = 0;
  uint64_t weights_begin = 0;  // offset in the plain file of the first matrix; matrices fill the rest
  bool real_weights = false;   // from a real model, repeated at shifted places; else normal deviates
};

// The name of the file in an archive.
inline constexpr char kModelName[] = "model.safetensors";

// Writes plain file and archive of at least `size_bytes` into `folder`, or takes what an earlier call left there.
// Weights come from the BF16 matrices of `checkpoint_path` when that file is there. Blocks for some seconds per GiB.
Result<SampleModel> MakeSampleModel(const std::string& folder, uint64_t size_bytes, const std::string& checkpoint_path);

// Where tests and benchmarks look for the real weights.
std::string DefaultCheckpointPath();

}  // namespace entrofs::bench
