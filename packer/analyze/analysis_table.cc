#include <algorithm>
#include <cmath>

#include "archive/paths.h"
#include "base/units.h"
#include "packer/analyze/analysis_report.h"
#include "packer/report/text_table.h"

namespace entrofs::packer::analyze {
namespace {

using Align = report::TextTable::Align;

constexpr size_t kNameWidth = 34;
constexpr size_t kWorstShown = 5;
// The schemes that each matrix is shown for.
constexpr const char* kShownSchemes[] = {"uint8", "uint4-group-128"};

std::string Db(const Cost& cost) {
  if (!cost.error) return "kept";
  const double db = cost.SqnrDb();
  return std::isinf(db) ? "exact" : report::Decimal(db, 1);
}

// What all names begin with, up to a dot or slash.
std::string CommonStart(const std::vector<MatrixFacts>& matrices) {
  if (matrices.size() < 2) return {};
  std::string start = matrices[0].name;
  for (const MatrixFacts& matrix : matrices) {
    const auto [end, other] = std::mismatch(start.begin(), start.end(), matrix.name.begin(), matrix.name.end());
    start.erase(end, start.end());
  }
  return start.substr(0, start.find_last_of("./") + 1);
}

// The last part of a name says the most.
std::string Shortened(const std::string& name) {
  std::string text = archive::Printable(name);
  if (text.size() <= kNameWidth) return text;
  // Not inside a character of several bytes.
  size_t begin = text.size() - (kNameWidth - 3);
  while (begin < text.size() && (text[begin] & 0xc0) == 0x80) ++begin;
  return "..." + text.substr(begin);
}

// Whether a calibration told what becomes of outputs.
bool HasOutputErrors(const Analysis& analysis) {
  return std::any_of(analysis.schemes.begin(), analysis.schemes.end(),
                     [](const SchemeCosts& scheme) { return scheme.Total().output_error.has_value(); });
}

std::string OutputDb(const Cost& cost) {
  if (!cost.output_error) return "";
  const double db = cost.OutputSqnrDb();
  return std::isinf(db) ? "exact" : report::Decimal(db, 1);
}

void PrintSchemes(const Analysis& analysis, std::ostream& out) {
  const bool has_outputs = HasOutputErrors(analysis);
  std::vector<Align> aligns(has_outputs ? 7 : 6, Align::kRight);
  aligns[0] = Align::kLeft;
  report::TextTable table(aligns);
  std::vector<std::string> heading = {"scheme", "bits/weight", "entropy", "archive", "SQNR dB", "worst dB"};
  if (has_outputs) heading.push_back("outputs dB");
  table.AddRow(std::move(heading));
  for (const SchemeCosts& scheme : analysis.schemes) {
    const Cost total = scheme.Total();
    std::vector<std::string> row = {scheme.trial.title, "", "", FormatBytes(scheme.archive_bytes)};
    if (!scheme.matrices.empty()) {
      const bool is_lossless = scheme.trial.kind == Trial::Kind::kLossless;
      row[1] = report::Decimal(total.bits_per_weight(), 3);
      row[2] = report::Decimal(total.entropy_bits_per_weight(), 3);
      row.push_back(is_lossless ? "exact" : Db(total));
      row.push_back(is_lossless ? "exact" : Db(scheme.matrices[scheme.WorstFirst().front()]));
      if (has_outputs) row.push_back(is_lossless ? "exact" : OutputDb(total));
    }
    table.AddRow(std::move(row));
  }
  table.Print(out);
}

// What is known of trellises, and what one would gain at the rate that matrices are shown for.
void PrintTrellisGain(const Analysis& analysis, std::ostream& out) {
  const auto is_on_trellis = [](const SchemeCosts& scheme) { return scheme.trial.options.trellis; };
  if (std::none_of(analysis.schemes.begin(), analysis.schemes.end(), is_on_trellis)) return;
  out << "On a trellis: foretold from samples of large matrices, as rounding all of them takes long.\n";
  for (size_t i = 1; i < analysis.schemes.size(); ++i) {
    const SchemeCosts &plain = analysis.schemes[i - 1], &on_trellis = analysis.schemes[i];
    if (!is_on_trellis(on_trellis) || !plain.trial.keeps_symbols) continue;
    const double gain = on_trellis.Total().SqnrDb() - plain.Total().SqnrDb();
    if (std::isfinite(gain))
      out << on_trellis.trial.arguments << " would gain " << report::Decimal(gain, 1) << " dB.\n";
  }
}

std::vector<const SchemeCosts*> ShownSchemes(const Analysis& analysis) {
  std::vector<const SchemeCosts*> shown;
  const SchemeCosts* rate = nullptr;
  for (const SchemeCosts& scheme : analysis.schemes) {
    for (const char* name : kShownSchemes) {
      if (scheme.trial.name == name) shown.push_back(&scheme);
    }
    if (scheme.trial.options.scheme == quantize::Scheme::kRate && scheme.trial.keeps_symbols) rate = &scheme;
  }
  if (rate != nullptr) shown.push_back(rate);
  return shown;
}

void PrintMatrices(const Analysis& analysis, std::ostream& out) {
  const std::vector<const SchemeCosts*> shown = ShownSchemes(analysis);
  std::vector<Align> aligns(3 + 2 * shown.size(), Align::kRight);
  aligns[0] = Align::kLeft;
  report::TextTable table(aligns);
  const std::string start = CommonStart(analysis.matrices);
  std::vector<std::string> heading = {start.empty() ? "tensor" : Shortened(start + "*"), "weights", "lossless"};
  for (const SchemeCosts* scheme : shown) {
    heading.push_back(scheme->trial.name == "uint4-group-128" ? "group-128" : scheme->trial.name);
    heading.push_back("dB");
  }
  table.AddRow(std::move(heading));
  for (size_t i = 0; i < analysis.matrices.size(); ++i) {
    const MatrixFacts& matrix = analysis.matrices[i];
    std::vector<std::string> row = {Shortened(matrix.name.substr(start.size())),
                                    report::FormatCount(matrix.weight_count),
                                    report::Decimal(analysis.schemes.front().matrices[i].bits_per_weight(), 2)};
    for (const SchemeCosts* scheme : shown) {
      row.push_back(report::Decimal(scheme->matrices[i].bits_per_weight(), 2));
      row.push_back(Db(scheme->matrices[i]));
    }
    table.AddRow(std::move(row));
  }
  table.Print(out);
}

void PrintWorst(const Analysis& analysis, std::ostream& out) {
  for (const SchemeCosts* scheme : ShownSchemes(analysis)) {
    out << "\nworst by " << scheme->trial.title << ":\n";
    const std::vector<size_t> order = scheme->WorstFirst();
    for (size_t i = 0; i < std::min(kWorstShown, order.size()); ++i) {
      out << "  " << Db(scheme->matrices[order[i]]) << " dB  " << archive::Printable(analysis.matrices[order[i]].name)
          << "\n";
    }
  }
}

}  // namespace

void PrintAnalysis(const Analysis& analysis, std::ostream& out) {
  uint64_t weights = 0;
  for (const MatrixFacts& matrix : analysis.matrices) weights += matrix.weight_count;
  out << archive::Printable(analysis.source) << ": " << FormatBytes(analysis.source_bytes);
  if (analysis.matrices.empty()) {
    out << ", nothing to quantize\n\n";
    return PrintSchemes(analysis, out);
  }
  out << ", " << analysis.matrices.size() << " matrices to quantize, " << report::FormatCount(weights)
      << " weights\n\n";
  PrintSchemes(analysis, out);
  out << "\nBits and SQNR are of the matrices to quantize, scales included; archive is the whole file.\n";
  if (HasOutputErrors(analysis)) out << "outputs: SQNR of the layers' outputs over the calibration's inputs.\n";
  PrintTrellisGain(analysis, out);
  out << "\n";
  PrintMatrices(analysis, out);
  PrintWorst(analysis, out);
}

}  // namespace entrofs::packer::analyze
