#include "packer/report/summary.h"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "archive/paths.h"
#include "base/units.h"
#include "packer/report/quantization_summary.h"
#include "packer/report/text_table.h"

namespace entrofs::packer::report {
namespace {

using Align = TextTable::Align;

// Sums over some tensors.
struct Sum {
  uint64_t tensors = 0;
  uint64_t weights = 0;
  uint64_t elements = 0;
  uint64_t plain_bytes = 0;
  uint64_t archive_bytes = 0;
  double entropy_bits = 0;

  void Add(const TensorReport& tensor) {
    ++tensors;
    weights += tensor.weight_count;
    elements += tensor.divisor();
    plain_bytes += tensor.plain_bytes;
    archive_bytes += tensor.archive_bytes;
    entropy_bits += static_cast<double>(tensor.entropy_bits);
  }
  double PerWeight(double bits) const {
    const uint64_t divisor = weights > 0 ? weights : elements;
    return divisor == 0 ? 0 : bits / static_cast<double>(divisor);
  }
};

std::string Percent(double share) { return Decimal(100 * share, 1) + " %"; }

std::string Overhead(double archive_bits, double entropy_bits) {
  if (entropy_bits < 1) return "-";
  const double share = archive_bits / entropy_bits - 1;
  return (share < 0 ? "" : "+") + Percent(share);
}

std::string Db(double db) { return std::isinf(db) ? "exact" : Decimal(db, 2) + " dB"; }

std::vector<std::string> SumRow(const std::string& title, const Sum& sum) {
  const double bits = 8.0 * static_cast<double>(sum.archive_bytes);
  return {title,
          std::to_string(sum.tensors),
          FormatCount(sum.weights),
          FormatBytes(sum.plain_bytes),
          FormatBytes(sum.archive_bytes),
          Decimal(sum.PerWeight(bits), 3),
          Decimal(sum.PerWeight(sum.entropy_bits), 3),
          Overhead(bits, sum.entropy_bits)};
}

void PrintQuantization(const Report& report, std::ostream& out) {
  const std::optional<QuantizationSummary> summary = SummarizeQuantization(report);
  if (!summary) return;
  std::string schemes;
  for (const std::string& scheme : summary->schemes) {
    schemes += (schemes.empty() ? "" : ", ") + archive::Printable(scheme);
  }
  out << "quantized: " << summary->tensor_count << " tensors by " << schemes << ", "
      << FormatCount(summary->weight_count) << " weights at " << Decimal(summary->bits_per_weight(), 3)
      << " bits with their scales; SQNR " << Db(summary->error.SqnrDb()) << " in total, worst "
      << Db(summary->worst_sqnr_db) << " (" << archive::Printable(summary->worst_tensor) << ")\n";
  if (summary->output_error) {
    out << "outputs over the calibration's inputs: SQNR " << Db(summary->output_error->SqnrDb()) << " in total\n";
  }
}

nlohmann::ordered_json QuantizationJson(const QuantizationSummary& summary) {
  return {{"schemes", summary.schemes},
          {"tensors", summary.tensor_count},
          {"weights", summary.weight_count},
          {"archive_bytes", summary.archive_bytes},
          {"bits_per_weight", summary.bits_per_weight()},
          {"entropy_bits", summary.entropy_bits_per_weight()},
          {"sqnr_db", summary.error.SqnrDb()},
          {"worst_sqnr_db", summary.worst_sqnr_db},
          {"worst_tensor", summary.worst_tensor}};
}

}  // namespace

void PrintSummary(const Report& report, uint64_t archive_bytes, std::ostream& out) {
  std::map<std::pair<source::Dtype, std::string>, Sum> by_dtype;
  Sum total;
  for (const TensorReport& tensor : report.tensors) {
    by_dtype[{tensor.dtype, tensor.type_name()}].Add(tensor);
    total.Add(tensor);
  }
  TextTable table({Align::kLeft, Align::kRight, Align::kRight, Align::kRight, Align::kRight, Align::kRight,
                   Align::kRight, Align::kRight});
  table.AddRow({"dtype", "tensors", "weights", "plain", "archive", "bits/weight", "entropy", "overhead"});
  for (const auto& [dtype, sum] : by_dtype) table.AddRow(SumRow(archive::Printable(dtype.second), sum));
  table.AddRow({"other", "", "", FormatBytes(report.other_plain_bytes), FormatBytes(report.other_archive_bytes)});
  const uint64_t index_bytes =
      archive_bytes - std::min(archive_bytes, total.archive_bytes + report.other_archive_bytes);
  table.AddRow({"index", "", "", "", FormatBytes(index_bytes)});
  total.plain_bytes += report.other_plain_bytes;
  total.archive_bytes = archive_bytes;
  std::vector<std::string> row = SumRow("total", total);
  // What belongs to no tensor is neither weights nor overhead.
  row.back() = Overhead(8.0 * static_cast<double>(archive_bytes - std::min(archive_bytes, report.other_archive_bytes)),
                        total.entropy_bits);
  table.AddRow(std::move(row));
  table.Print(out);
  PrintQuantization(report, out);
}

void PrintTensors(const Report& report, std::ostream& out) {
  TextTable table({Align::kLeft, Align::kLeft, Align::kLeft, Align::kLeft, Align::kRight, Align::kRight, Align::kRight,
                   Align::kRight, Align::kRight});
  table.AddRow({"tensor", "dtype", "shape", "codec", "plain", "archive", "bits/weight", "entropy", "SQNR"});
  const std::string* file = nullptr;
  for (const TensorReport& tensor : report.tensors) {
    if (file == nullptr || *file != tensor.file) table.AddRow({archive::Printable(tensor.file) + ":"});
    file = &tensor.file;
    table.AddRow({"  " + archive::Printable(tensor.name), archive::Printable(tensor.type_name()),
                  source::ShapeText(tensor.shape), archive::Printable(tensor.codec), FormatBytes(tensor.plain_bytes),
                  FormatBytes(tensor.archive_bytes), Decimal(tensor.bits_per_weight(), 3),
                  Decimal(tensor.entropy_bits_per_weight(), 3), tensor.error ? Db(tensor.error->SqnrDb()) : ""});
  }
  table.Print(out);
}

std::string InspectJson(const Report& report, uint64_t virtual_bytes, uint64_t archive_bytes) {
  using Json = nlohmann::ordered_json;
  Json json = {{"virtual_bytes", virtual_bytes}, {"archive_bytes", archive_bytes}};
  if (std::optional<QuantizationSummary> summary = SummarizeQuantization(report)) {
    json["quantized"] = QuantizationJson(*summary);
  }
  json["tensors"] = Json::array();
  for (const TensorReport& tensor : report.tensors) {
    Json row = {{"name", tensor.name},
                {"file", tensor.file},
                {"dtype", tensor.type_name()},
                {"shape", tensor.shape},
                {"codec", tensor.codec},
                {"plain_bytes", tensor.plain_bytes},
                {"archive_bytes", tensor.archive_bytes},
                {"bits_per_weight", tensor.bits_per_weight()},
                {"entropy_bits", tensor.entropy_bits_per_weight()}};
    // JSON has no infinity: dump writes null for it.
    if (tensor.error) row["sqnr_db"] = tensor.error->SqnrDb();
    if (tensor.output_error) row["output_sqnr_db"] = tensor.output_error->SqnrDb();
    json["tensors"].push_back(std::move(row));
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace entrofs::packer::report
