#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "packer/source/safetensors.h"
#include "packer/source/tensor.h"

// The JSON of a safetensors header, before the offsets are checked.
namespace entrofs::packer::source {

struct HeaderTensor {
  std::string name;
  Dtype dtype = Dtype::kU8;
  std::vector<uint64_t> shape;
  uint64_t begin = 0;  // from the start of the data
  uint64_t end = 0;
};

struct HeaderJson {
  std::vector<HeaderTensor> tensors;  // in the order of the text, names may repeat
  SafetensorsMetadata metadata;
};

// Parses untrusted, valid UTF-8. The rules are those that serde applies to the types of huggingface's reader:
// - the text is one object; "__metadata__", at most once, is null or an object of strings;
// - every other value is {"dtype", "shape", "data_offsets"}, each exactly once, other keys ignored; or the array
//   [dtype, shape, data_offsets];
// - a dtype is a known name or {name: null}; sizes are integers without sign, point or exponent, up to 2^64 - 1;
// - at most 127 levels of nesting; no byte-order mark, no comments, nothing but white space around.
// kCorrupt names the tensor, or says where the text stops being JSON.
Result<HeaderJson> ParseHeaderJson(std::string_view text);

}  // namespace entrofs::packer::source
