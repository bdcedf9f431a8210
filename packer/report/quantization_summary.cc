#include "packer/report/quantization_summary.h"

#include <algorithm>
#include <utility>

namespace entrofs::packer::report {

double QuantizationSummary::bits_per_weight() const {
  return 8.0 * static_cast<double>(archive_bytes) / static_cast<double>(std::max<uint64_t>(1, weight_count));
}

double QuantizationSummary::entropy_bits_per_weight() const {
  return entropy_bits / static_cast<double>(std::max<uint64_t>(1, weight_count));
}

std::optional<QuantizationSummary> SummarizeQuantization(const Report& report) {
  QuantizationSummary summary;
  std::set<std::pair<std::string_view, std::string_view>> quantized;  // files and input tensors
  for (const TensorReport& tensor : report.tensors) {
    if (!tensor.error) continue;
    const double sqnr_db = tensor.error->SqnrDb();
    if (quantized.empty() || sqnr_db < summary.worst_sqnr_db) {
      summary.worst_tensor = tensor.belongs_to;
      summary.worst_sqnr_db = sqnr_db;
    }
    quantized.insert({tensor.file, tensor.belongs_to});
    summary.schemes.insert(tensor.scheme);
    summary.error += *tensor.error;
    if (tensor.output_error) {
      if (!summary.output_error) summary.output_error.emplace();
      *summary.output_error += *tensor.output_error;
    }
  }
  if (quantized.empty()) return std::nullopt;
  summary.tensor_count = quantized.size();
  for (const TensorReport& tensor : report.tensors) {
    if (!quantized.contains({tensor.file, tensor.belongs_to})) continue;
    summary.weight_count += tensor.weight_count;
    summary.archive_bytes += tensor.archive_bytes;
    summary.entropy_bits += static_cast<double>(tensor.entropy_bits);
  }
  return summary;
}

}  // namespace entrofs::packer::report
