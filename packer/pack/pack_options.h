#pragma once

#include <cstdint>
#include <string>

#include "codec/codec.h"
#include "packer/pack/coding.h"

namespace entrofs::packer::pack {

struct PackOptions {
  CodecChoice codec = CodecChoice::kAuto;
  bool one_table_per_archive = false;
  uint32_t segment_bytes = codec::kDefaultSegmentBytes;
  bool verify = true;          // read everything back before the archive gets its name
  std::string quant = "none";  // only for the report
};

}  // namespace entrofs::packer::pack
