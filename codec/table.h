#pragma once

#include <vector>

#include "codec/codec.h"

namespace entrofs::codec {

class EncodeTable {
 public:
  CodecKind kind = CodecKind::kTans;
  std::vector<uint8_t> serialized;
  uint64_t cost_bits[256] = {};
};

class DecodeTable {
 public:
  CodecKind kind = CodecKind::kTans;
};

}  // namespace entrofs::codec
