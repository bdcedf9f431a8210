// The types of https://github.com/ggml-org/ggml, docs/gguf.md, and their blocks as ggml's headers declare them.

#include "packer/source/ggml_types.h"

#include <map>

namespace entrofs::packer::source {
namespace {

using codec::BlockField;

constexpr uint64_t kSuperBlock = 256;

GgmlType Numbers(Dtype dtype) { return {Name(dtype), 1, {}, dtype}; }

// A field of 16-bit numbers that takes two planes, from `plane` up: their bytes have little in common.
void AppendHalf(uint8_t plane, std::vector<BlockField>& block) {
  block.push_back({1, plane});
  block.push_back({1, static_cast<uint8_t>(plane + 1)});
}

// `halves` scales of 16 bits, then fields of so many bytes.
GgmlType Blocks(std::string_view name, uint64_t weights, int halves, std::initializer_list<uint16_t> fields) {
  GgmlType type{name, weights, {}, std::nullopt};
  // Scales and minimums share their planes.
  for (int i = 0; i < halves; ++i) AppendHalf(0, type.block);
  uint8_t plane = halves > 0 ? 2 : 0;
  for (uint16_t bytes : fields) type.block.push_back({bytes, plane++});
  return type;
}

// The other way round: fields, then scales of 16 bits.
GgmlType BlocksBeforeScales(std::string_view name, std::initializer_list<uint16_t> fields, int halves) {
  GgmlType type = Blocks(name, kSuperBlock, 0, fields);
  const auto plane = static_cast<uint8_t>(fields.size());
  for (int i = 0; i < halves; ++i) AppendHalf(plane, type.block);
  return type;
}

const std::map<uint32_t, GgmlType>& Types() {
  static const auto* const types = new std::map<uint32_t, GgmlType>{
      {0, Numbers(Dtype::kF32)},
      {1, Numbers(Dtype::kF16)},
      {2, Blocks("Q4_0", 32, 1, {16})},
      {3, Blocks("Q4_1", 32, 2, {16})},
      {6, Blocks("Q5_0", 32, 1, {4, 16})},
      {7, Blocks("Q5_1", 32, 2, {4, 16})},
      {8, Blocks("Q8_0", 32, 1, {32})},
      {9, Blocks("Q8_1", 32, 2, {32})},
      {10, BlocksBeforeScales("Q2_K", {16, 64}, 2)},
      {11, BlocksBeforeScales("Q3_K", {32, 64, 12}, 1)},
      {12, Blocks("Q4_K", kSuperBlock, 2, {12, 128})},
      {13, Blocks("Q5_K", kSuperBlock, 2, {12, 32, 128})},
      {14, BlocksBeforeScales("Q6_K", {128, 64, 16}, 1)},
      {15, Blocks("Q8_K", kSuperBlock, 2, {256, 32})},
      {16, Blocks("IQ2_XXS", kSuperBlock, 1, {64})},
      {17, Blocks("IQ2_XS", kSuperBlock, 1, {64, 8})},
      {18, Blocks("IQ3_XXS", kSuperBlock, 1, {64, 32})},
      {19, Blocks("IQ1_S", kSuperBlock, 1, {32, 16})},
      {20, Blocks("IQ4_NL", 32, 1, {16})},
      {21, Blocks("IQ3_S", kSuperBlock, 1, {64, 8, 32, 4})},
      {22, Blocks("IQ2_S", kSuperBlock, 1, {64, 8, 8})},
      {23, Blocks("IQ4_XS", kSuperBlock, 1, {2, 4, 128})},
      {24, Numbers(Dtype::kI8)},
      {25, Numbers(Dtype::kI16)},
      {26, Numbers(Dtype::kI32)},
      {27, Numbers(Dtype::kI64)},
      {28, Numbers(Dtype::kF64)},
      {29, BlocksBeforeScales("IQ1_M", {32, 16, 8}, 0)},
      {30, Numbers(Dtype::kBf16)},
      {34, BlocksBeforeScales("TQ1_0", {48, 4}, 1)},
      {35, BlocksBeforeScales("TQ2_0", {64}, 1)},
      {39, Blocks("MXFP4", 32, 0, {1, 16})},
  };
  return *types;
}

}  // namespace

uint64_t GgmlType::block_bytes() const {
  if (dtype) return BitWidth(*dtype) / 8;
  return codec::Layout{.block = block}.unit_bytes();
}

const GgmlType* FindGgmlType(uint32_t number) {
  auto found = Types().find(number);
  return found == Types().end() ? nullptr : &found->second;
}

}  // namespace entrofs::packer::source
