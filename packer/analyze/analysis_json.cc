#include <cmath>
#include <nlohmann/json.hpp>

#include "packer/analyze/analysis_report.h"

namespace entrofs::packer::analyze {
namespace {

using Json = nlohmann::ordered_json;

// Five significant digits: what a figure of a report is good for. JSON has no infinity: dump writes null for it.
double Rounded(double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  const double unit = std::pow(10.0, 4 - std::floor(std::log10(std::abs(value))));
  return std::round(value * unit) / unit;
}

Json CostJson(const Cost& cost) {
  Json json = {{"bits_per_weight", Rounded(cost.bits_per_weight())},
               {"entropy_bits", Rounded(cost.entropy_bits_per_weight())},
               {"sqnr_db", Rounded(cost.SqnrDb())}};
  if (cost.output_error) json["output_sqnr_db"] = Rounded(cost.OutputSqnrDb());
  return json;
}

Json SchemeJson(const Analysis& analysis, const SchemeCosts& scheme) {
  Json json = {{"name", scheme.trial.name},
               {"title", scheme.trial.title},
               {"arguments", scheme.trial.arguments},
               {"sampled", scheme.trial.options.trellis},
               {"archive_bytes", scheme.archive_bytes}};
  if (scheme.matrices.empty()) return json;
  json.update(CostJson(scheme.Total()));
  const size_t worst = scheme.WorstFirst().front();
  json["worst_sqnr_db"] = Rounded(scheme.matrices[worst].SqnrDb());
  json["worst_tensor"] = analysis.matrices[worst].name;
  return json;
}

Json MatrixJson(const Analysis& analysis, size_t number) {
  const MatrixFacts& matrix = analysis.matrices[number];
  Json json = {{"name", matrix.name},
               {"file", matrix.file},
               {"dtype", Name(matrix.dtype)},
               {"shape", matrix.shape},
               {"weights", matrix.weight_count},
               {"rms", Rounded(matrix.survey.rms)},
               {"lowest", Rounded(matrix.survey.lowest)},
               {"highest", Rounded(matrix.survey.highest)},
               {"kurtosis", Rounded(matrix.survey.kurtosis)},
               {"outlier_columns", matrix.outlier_columns},
               {"histogram", matrix.survey.histogram},
               {"schemes", Json::object()},
               {"symbols", Json::object()}};
  for (const SchemeCosts& scheme : analysis.schemes) {
    const Cost& cost = scheme.matrices[number];
    json["schemes"][scheme.trial.name] = CostJson(cost);
    if (!cost.symbols) continue;
    json["symbols"][scheme.trial.name] = {{"first", cost.symbols->first}, {"counts", cost.symbols->counts}};
  }
  return json;
}

}  // namespace

std::string AnalysisJson(const Analysis& analysis) {
  uint64_t weights = 0;
  for (const MatrixFacts& matrix : analysis.matrices) weights += matrix.weight_count;
  Json json = {{"source", analysis.source},    {"source_bytes", analysis.source_bytes},
               {"weights", weights},           {"schemes", Json::array()},
               {"tensors", Json::array()},     {"histogram_span", Survey::kSpan},
               {"warnings", analysis.warnings}};
  for (const SchemeCosts& scheme : analysis.schemes) json["schemes"].push_back(SchemeJson(analysis, scheme));
  for (size_t i = 0; i < analysis.matrices.size(); ++i) json["tensors"].push_back(MatrixJson(analysis, i));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace entrofs::packer::analyze
