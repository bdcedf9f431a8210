#pragma once

#include <cstdint>
#include <ostream>
#include <string>

#include "packer/report/report.h"

// Reports for people and programs.
namespace entrofs::packer::report {

// One table row per dtype and a total: plain and archive bytes, bits per weight, entropy, overhead; then what
// quantization cost. `archive_bytes` is the whole file.
void PrintSummary(const Report& report, uint64_t archive_bytes, std::ostream& out);

// One table row per tensor.
void PrintTensors(const Report& report, std::ostream& out);

// {"virtual_bytes", "archive_bytes", "quantized": {"schemes", "tensors", "weights", "archive_bytes", "bits_per_weight",
// "entropy_bits", "sqnr_db", "worst_sqnr_db", "worst_tensor"} where something was, "tensors": [{"name", "file",
// "dtype", "shape", "codec", "plain_bytes", "archive_bytes", "bits_per_weight", "entropy_bits", "sqnr_db" where
// quantized}]}. bits_per_weight and entropy_bits are both bits per weight; sqnr_db is null where nothing was lost.
// Those of "quantized" count scales and zero points.
std::string InspectJson(const Report& report, uint64_t virtual_bytes, uint64_t archive_bytes);

}  // namespace entrofs::packer::report
