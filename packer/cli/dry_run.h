#pragma once

#include <ostream>

#include "packer/quantize/options.h"
#include "packer/source/checkpoint.h"

namespace entrofs::packer::cli {

// Prints, for every tensor of the safetensors files of `checkpoint`, whether create would quantize it with these
// options and why: a table, or with `json` {"tensors": [{"file", "name", "dtype", "shape", "quantized", "reason"}]}.
// Judges by names, shapes and dtypes; values that cannot be quantized are found only when they are read.
void PrintDecisions(const source::Checkpoint& checkpoint, const quantize::Options& options, bool json,
                    std::ostream& out);

}  // namespace entrofs::packer::cli
