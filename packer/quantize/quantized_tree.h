#pragma once

#include <memory>
#include <optional>

#include "base/result.h"
#include "base/thread_pool.h"
#include "packer/quantize/planner.h"
#include "packer/source/checkpoint.h"
#include "packer/tree/output_tree.h"

namespace entrofs::packer::quantize {

// The checkpoint with its matrices quantized: safetensors files that hold any get new headers and tensors, their
// config.json a quantization_config, an index.json the new names, files and total size. Everything else is unchanged.
// Shards that one index.json lists are planned together, other safetensors files each alone. Reads all matrices, on
// `pool` and the caller. Errors name file and tensor.
Result<tree::OutputTree> QuantizedTree(const source::Checkpoint& checkpoint, const Options& options, ThreadPool& pool);

// The same for several rates or sizes, the matrices surveyed once. Trees may be used after this is gone.
class QuantizedTrees {
 public:
  // `checkpoint` and `pool` must outlive this.
  QuantizedTrees(const source::Checkpoint& checkpoint, const Options& options, ThreadPool& pool);
  ~QuantizedTrees();

  Result<tree::OutputTree> Make(double bits_per_weight, std::optional<uint64_t> archive_bytes, Precision precision);

 private:
  class Quantizer;
  std::unique_ptr<Quantizer> quantizer_;
};

}  // namespace entrofs::packer::quantize
