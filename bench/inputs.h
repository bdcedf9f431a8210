#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codec/codec.h"

// The bytes that coders race on: kinds of quantized weights, synthetic ones with fixed seeds and ones made from a real
// model. The same name and size give the same bytes on every machine.
namespace entrofs::bench {

struct Input {
  std::string name;
  codec::Layout layout;  // {1}: bytes; otherwise a whole tensor whose planes are split while coding
  std::vector<uint8_t> plain;
};

struct InputKind {
  std::string_view name;
  std::string_view summary;
  bool needs_checkpoint;
};

// The ten kinds, synthetic first, and last a whole BF16 tensor.
std::span<const InputKind> InputKinds();
inline constexpr std::string_view kBf16TensorName = "bf16-tensor";

// About `size_bytes` bytes (fewer when the checkpoint is smaller) of the kind called `name`. Kinds that need a
// checkpoint take their weights from the BF16 matrices of `checkpoint_path`, a .safetensors file; the BF16 tensor uses
// it when it is there. kNotFound for an unknown name or missing file.
Result<Input> MakeInput(std::string_view name, size_t size_bytes, const std::string& checkpoint_path);

// In synthetic_inputs.cc; requires a name of a kind that needs no checkpoint.
std::vector<uint8_t> MakeSynthetic(std::string_view name, size_t size_bytes);
// In checkpoint_inputs.cc; requires a name of a kind that needs one, or kBf16TensorName.
Result<std::vector<uint8_t>> MakeFromCheckpoint(std::string_view name, size_t size_bytes, const std::string& path);

}  // namespace entrofs::bench
