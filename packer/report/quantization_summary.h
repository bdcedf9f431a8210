#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "packer/report/report.h"

namespace entrofs::packer::report {

// What quantization did to a checkpoint: sums over its quantized matrices with their scales and zero points.
struct QuantizationSummary {
  std::set<std::string> schemes;
  uint64_t tensor_count = 0;
  uint64_t weight_count = 0;
  uint64_t archive_bytes = 0;
  double entropy_bits = 0;
  tree::QuantizationError error;
  std::optional<tree::QuantizationError> output_error;  // where inputs were known
  std::string worst_tensor;                             // the input's name
  double worst_sqnr_db = 0;

  double bits_per_weight() const;
  double entropy_bits_per_weight() const;
};

// nullopt when nothing was quantized.
std::optional<QuantizationSummary> SummarizeQuantization(const Report& report);

}  // namespace entrofs::packer::report
