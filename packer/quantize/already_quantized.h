#pragma once

#include "base/result.h"
#include "packer/source/checkpoint.h"

namespace entrofs::packer::quantize {

// Whether the checkpoint says nowhere that it is quantized: kUnsupported, naming the file, when a config.json does in
// any of its objects, or when one of the files is there that quantizers write beside it (quantize_config.json,
// hf_quant_config.json, quant_config.json) and is not empty. Members that are null or {} say no. Errors of reading.
Status CheckIsNotQuantized(const source::Checkpoint& checkpoint);

}  // namespace entrofs::packer::quantize
