#include "bench/inputs.h"

#include <filesystem>

namespace entrofs::bench {
namespace {

constexpr InputKind kKinds[] = {
    {"int8-row", "normal weights, int8 by the largest of each row", false},
    {"uint8-tensor", "rows of varying spread and outliers, uint8 per tensor", false},
    {"int8-rate4", "uniform step chosen for about 4 bits per weight", false},
    {"uint4-tensor", "uint4 per tensor, two to a byte", false},
    {"uint4-group", "uint4 by the range of each 128 weights, two to a byte", false},
    {"bf16-exponent", "the exponent bytes of BF16 weights", false},
    {"real-int8-row", "a real model's attention matrices, as int8-row", true},
    {"real-uint8-tensor", "the same, as uint8-tensor", true},
    {"real-uint4-group", "the same, as uint4-group", true},
    {"real-bf16-exponent", "the same, as bf16-exponent", true},
    {kBf16TensorName, "whole BF16 weights: exponents coded, the other byte stored, merged while decoding", false},
};

}  // namespace

std::span<const InputKind> InputKinds() { return kKinds; }

Result<Input> MakeInput(std::string_view name, size_t size_bytes, const std::string& checkpoint_path) {
  for (const InputKind& kind : kKinds) {
    if (kind.name != name) continue;
    Input input{.name = std::string(name), .layout = {}, .plain = {}};
    bool from_checkpoint = kind.needs_checkpoint;
    if (name == kBf16TensorName) {
      input.layout = {.element_bytes = 2, .rotate_sign = true};
      from_checkpoint = std::filesystem::exists(checkpoint_path);
    }
    if (from_checkpoint) {
      ENTROFS_ASSIGN_OR_RETURN(input.plain, MakeFromCheckpoint(name, size_bytes, checkpoint_path));
    } else {
      input.plain = MakeSynthetic(name, size_bytes);
    }
    return input;
  }
  return Error{ErrorCode::kInvalidArgument,
               "input '" + std::string(name) + "': unknown; entro-bench codec --help lists them"};
}

}  // namespace entrofs::bench
