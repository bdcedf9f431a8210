#pragma once

#include <ostream>
#include <string>

#include "packer/analyze/analysis.h"

// An analysis for people and programs.
namespace entrofs::packer::analyze {

// One table row per scheme, one per matrix for the schemes people choose between, and the worst matrices by name: at
// most 100 columns wide.
void PrintAnalysis(const Analysis& analysis, std::ostream& out);

// {"source", "source_bytes", "weights", "schemes": [{"name", "title", "arguments", "sampled", "archive_bytes",
// "bits_per_weight", "entropy_bits", "sqnr_db", "worst_sqnr_db", "worst_tensor"}], "tensors": [{"name", "file",
// "dtype", "shape", "weights", "rms", "lowest", "highest", "kurtosis", "outlier_columns", "histogram", "schemes":
// {NAME:
// {"bits_per_weight", "entropy_bits", "sqnr_db"}}, "symbols": {NAME: {"first", "counts"}}}], "histogram_span",
// "warnings"}. Those of sampled schemes are foretold
// from samples of large matrices. Both figures of bits are per weight; sqnr_db is null where nothing is lost. A
// histogram counts weights in equal intervals from -histogram_span to histogram_span times rms. All on one line.
std::string AnalysisJson(const Analysis& analysis);

// A page that needs nothing but itself.
std::string AnalysisPage(const Analysis& analysis);

}  // namespace entrofs::packer::analyze
