#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "packer/source/tensor.h"
#include "packer/tree/output_tensor.h"

// What packing made of each tensor. The archive carries it as JSON, and inspect, list and the summary show it.
namespace entrofs::packer::report {

struct TensorReport {
  std::string name;
  std::string file;
  source::Dtype dtype = source::Dtype::kU8;
  std::string block_type;  // of a GGUF file ("Q4_K"), instead of the dtype
  std::vector<uint64_t> shape;
  std::string codec;  // "tans", "stored+tans"
  uint64_t plain_bytes = 0;
  // Segments with checksums, index pages and tables. Of small tensors stored together, a share by size; 0 for a
  // duplicate of a tensor before it.
  uint64_t archive_bytes = 0;
  uint64_t table_bytes = 0;   // those of archive_bytes that are tables; known to who packs only
  uint64_t entropy_bits = 0;  // order-0, of the planes the tensor was split into
  uint64_t weight_count = 0;  // 0 for scales and the like
  std::string belongs_to;     // the input tensor
  std::string scheme;         // the quantizer, empty for unchanged tensors
  std::optional<tree::QuantizationError> error;
  std::optional<tree::QuantizationError> output_error;

  std::string type_name() const { return block_type.empty() ? std::string(Name(dtype)) : block_type; }
  // weight_count, or the elements of a tensor that carries no weights; at least 1.
  uint64_t divisor() const;
  double bits_per_weight() const { return 8.0 * static_cast<double>(archive_bytes) / static_cast<double>(divisor()); }
  double entropy_bits_per_weight() const { return static_cast<double>(entropy_bits) / static_cast<double>(divisor()); }
};

struct Report {
  // How the archive was made, as given on the command line.
  std::string quant = "none";
  std::string codec = "auto";
  std::string tables = "tensor";
  uint64_t segment_bytes = 0;

  std::vector<TensorReport> tensors;  // by file, then by place in it
  // Everything that is no tensor: headers, configuration, vocabularies.
  uint64_t other_plain_bytes = 0;
  uint64_t other_archive_bytes = 0;
};

std::string ToJson(const Report& report);
// Untrusted text. kCorrupt when it is not what ToJson writes; unknown keys are ignored.
Result<Report> ParseReport(std::string_view json);

}  // namespace entrofs::packer::report
