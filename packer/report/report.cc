#include "packer/report/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "packer/source/json_text.h"

namespace entrofs::packer::report {
namespace {

using Json = nlohmann::ordered_json;

// Only what cannot be derived, and only where it is not the usual, for there may be a hundred thousand tensors.
Json TensorToJson(const TensorReport& tensor) {
  Json json = {{"name", tensor.name},   {"dtype", tensor.type_name()},           {"shape", tensor.shape},
               {"codec", tensor.codec}, {"archive_bytes", tensor.archive_bytes}, {"entropy_bits", tensor.entropy_bits}};
  if (!tensor.block_type.empty()) json["plain_bytes"] = tensor.plain_bytes;
  if (tensor.weight_count != source::ElementCount(tensor.shape)) json["weights"] = tensor.weight_count;
  if (tensor.belongs_to != tensor.name) json["belongs_to"] = tensor.belongs_to;
  if (!tensor.scheme.empty()) json["scheme"] = tensor.scheme;
  if (tensor.error) {
    json["signal_energy"] = tensor.error->signal_energy;
    json["noise_energy"] = tensor.error->noise_energy;
  }
  if (tensor.output_error) {
    json["output_signal_energy"] = tensor.output_error->signal_energy;
    json["output_noise_energy"] = tensor.output_error->noise_energy;
  }
  return json;
}

// json.get<uint64_t>() would take any number, also one that no uint64_t can be.
uint64_t WholeNumber(const Json& json) {
  if (!json.is_number_unsigned()) throw std::out_of_range("not a whole number");
  return json.get<uint64_t>();
}

TensorReport TensorFromJson(const Json& json, const std::string& file) {
  TensorReport tensor;
  tensor.name = json.at("name").get<std::string>();
  tensor.file = file;
  const std::string type = json.at("dtype").get<std::string>();
  std::optional<source::Dtype> dtype = source::ParseDtype(type);
  tensor.dtype = dtype.value_or(source::Dtype::kU8);
  if (!dtype) tensor.block_type = type;
  for (const Json& size : json.at("shape")) tensor.shape.push_back(WholeNumber(size));
  tensor.codec = json.at("codec").get<std::string>();
  tensor.archive_bytes = WholeNumber(json.at("archive_bytes"));
  tensor.entropy_bits = WholeNumber(json.at("entropy_bits"));
  const uint64_t count = source::ElementCount(tensor.shape).value_or(0);
  tensor.weight_count = json.contains("weights") ? WholeNumber(json["weights"]) : count;
  // Types that are no dtype say how large they are.
  tensor.plain_bytes = dtype
                           ? static_cast<uint64_t>(static_cast<unsigned __int128>(count) * source::BitWidth(*dtype) / 8)
                           : WholeNumber(json.at("plain_bytes"));
  tensor.belongs_to = json.value("belongs_to", tensor.name);
  tensor.scheme = json.value("scheme", std::string());
  if (json.contains("signal_energy")) {
    tensor.error =
        tree::QuantizationError{json.at("signal_energy").get<double>(), json.at("noise_energy").get<double>()};
  }
  if (json.contains("output_signal_energy")) {
    tensor.output_error = tree::QuantizationError{json.at("output_signal_energy").get<double>(),
                                                  json.at("output_noise_energy").get<double>()};
  }
  return tensor;
}

Report ReportFromJson(const Json& json) {
  Report report;
  report.quant = json.at("quant").get<std::string>();
  report.codec = json.at("codec").get<std::string>();
  report.tables = json.at("tables").get<std::string>();
  report.segment_bytes = WholeNumber(json.at("segment_bytes"));
  report.other_plain_bytes = WholeNumber(json.at("other").at("plain_bytes"));
  report.other_archive_bytes = WholeNumber(json.at("other").at("archive_bytes"));
  for (const Json& file : json.at("files")) {
    const std::string path = file.at("path").get<std::string>();
    for (const Json& tensor : file.at("tensors")) report.tensors.push_back(TensorFromJson(tensor, path));
  }
  return report;
}

Error NotAReport() { return Error{ErrorCode::kCorrupt, "the archive's report is not what entro-pack writes"}; }

}  // namespace

uint64_t TensorReport::divisor() const {
  return std::max<uint64_t>(1, weight_count > 0 ? weight_count : source::ElementCount(shape).value_or(0));
}

std::string ToJson(const Report& report) {
  Json json = {{"quant", report.quant},
               {"codec", report.codec},
               {"tables", report.tables},
               {"segment_bytes", report.segment_bytes},
               {"other", {{"plain_bytes", report.other_plain_bytes}, {"archive_bytes", report.other_archive_bytes}}},
               {"files", Json::array()}};
  Json& files = json["files"];
  for (const TensorReport& tensor : report.tensors) {
    if (files.empty() || files.back()["path"] != tensor.file) {
      files.push_back({{"path", tensor.file}, {"tensors", Json::array()}});
    }
    files.back()["tensors"].push_back(TensorToJson(tensor));
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Report> ParseReport(std::string_view json) {
  try {
    Result<Json> parsed = source::ParseJsonText(json);
    return parsed ? ReportFromJson(*parsed) : Result<Report>(NotAReport());
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception&) {
    return NotAReport();
  }
}

}  // namespace entrofs::packer::report
