#include "packer/pack/report_builder.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "archive/format.h"
#include "packer/source/ggml_types.h"

namespace entrofs::packer::pack {

ReportBuilder::ReportBuilder(const PackOptions& options) {
  report_.quant = options.quant;
  report_.codec = Name(options.codec);
  report_.tables = options.one_table_per_archive ? "archive" : "tensor";
  report_.segment_bytes = options.segment_bytes;
}

void ReportBuilder::AddExtent(const ExtentInput& input, const ExtentFacts& facts) {
  if (input.tensors.empty()) {
    report_.other_plain_bytes += input.bytes->size();
    report_.other_archive_bytes += facts.segment_bytes + facts.table_bytes;
    other_table_bytes_ += facts.table_bytes;
    return;
  }
  uint64_t segments_left = facts.segment_bytes, tables_left = facts.table_bytes;
  for (const tree::OutputTensor* tensor : input.tensors) {
    const bool is_last = tensor == input.tensors.back();
    const double share = static_cast<double>(tensor->bytes->size()) / static_cast<double>(input.bytes->size());
    auto part = [&](uint64_t all, uint64_t& left) {
      const uint64_t bytes = is_last ? left : static_cast<uint64_t>(static_cast<double>(all) * share);
      left -= bytes;
      return bytes;
    };
    report::TensorReport report;
    report.name = tensor->name;
    report.codec = facts.codec;
    report.entropy_bits = static_cast<uint64_t>(std::llround(facts.entropy_bits * share));
    report.table_bytes = part(facts.table_bytes, tables_left);
    report.archive_bytes = part(facts.segment_bytes, segments_left) + report.table_bytes;
    in_file_.push_back(std::move(report));
  }
}

// Tables lie in the index, which is compressed: what each was counted for shrinks as all of them do together.
report::Report ReportBuilder::Finish() {
  if (tables_.empty()) return std::move(report_);
  const double share =
      static_cast<double>(archive::CompressBlock(tables_).size()) / static_cast<double>(tables_.size());
  auto saved = [share](uint64_t table_bytes) {
    return table_bytes - static_cast<uint64_t>(static_cast<double>(table_bytes) * std::min(share, 1.0));
  };
  for (report::TensorReport& tensor : report_.tensors) tensor.archive_bytes -= saved(tensor.table_bytes);
  report_.other_archive_bytes -= saved(other_table_bytes_);
  return std::move(report_);
}

void ReportBuilder::EndFile(const tree::OutputFile& file) {
  size_t next = 0;
  for (const tree::FilePart& part : file.parts) {
    const auto* tensor = std::get_if<tree::OutputTensor>(&part);
    if (tensor == nullptr) continue;
    report::TensorReport report;
    if (tensor->bytes->size() > 0) {
      report = std::move(in_file_[next++]);
    } else {
      report.name = tensor->name;
      report.codec = codec::Name(codec::CodecKind::kStored);
    }
    report.file = file.path;
    report.dtype = tensor->dtype;
    if (tensor->blocks != nullptr) report.block_type = tensor->blocks->name;
    report.shape = tensor->shape;
    report.plain_bytes = tensor->bytes->size();
    report.weight_count = tensor->weight_count;
    report.belongs_to = tensor->belongs_to;
    report.scheme = tensor->scheme;
    report.error = tensor->error;
    report.output_error = tensor->output_error;
    report_.tensors.push_back(std::move(report));
  }
  in_file_.clear();
}

}  // namespace entrofs::packer::pack
