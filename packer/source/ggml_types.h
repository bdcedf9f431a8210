#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "codec/codec.h"
#include "packer/source/tensor.h"

namespace entrofs::packer::source {

// An element type of a GGUF file. Most hold weights in blocks: some bytes of scales, then packed codes.
struct GgmlType {
  std::string_view name;  // "Q4_K"
  uint64_t weights_per_block = 1;
  std::vector<codec::BlockField> block;  // the bytes of a block; scales and codes go to different planes
  std::optional<Dtype> dtype;            // of types that are plain numbers, which have no block

  uint64_t block_bytes() const;
};

// Null for numbers that are not in use.
const GgmlType* FindGgmlType(uint32_t number);

}  // namespace entrofs::packer::source
