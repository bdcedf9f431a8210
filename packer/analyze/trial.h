#pragma once

#include <memory>
#include <string>
#include <vector>

#include "packer/quantize/planner.h"

// The schemes that an analysis tries on a checkpoint.
namespace entrofs::packer::analyze {

struct Trial {
  enum class Kind {
    kLossless,
    kQuantized,  // what `create` makes with these options
    kSmoothed,   // int8-tensor after SmoothQuant's rescaling; only with a calibration
    kOutliers,   // int8-channel, but columns of outliers stay as they are, as in LLM.int8()
  };
  Kind kind = Kind::kQuantized;
  std::string name;       // in reports: "uint4-group-64"
  std::string title;      // for people: "uint4, groups of 64"
  std::string arguments;  // for `create`: "--quant uint4-group --group-size 64"; empty where it has no such scheme
  quantize::Options options;
  bool keeps_symbols = false;  // whether the analysis keeps histograms of the codes
};

struct TrialOptions {
  std::vector<double> rates = {2, 2.5, 3, 3.5, 4, 4.5};  // bits per weight
  std::vector<std::string> include;                      // as in quantize::Options
  std::vector<std::string> exclude;
  std::shared_ptr<const quantize::arithmetic::Calibration> calibration = nullptr;  // as in quantize::Options
};

// The lossless one first; the rate-targeted ones last, by rate, each followed by the same on a trellis where there is
// such.
std::vector<Trial> Trials(const TrialOptions& options);

}  // namespace entrofs::packer::analyze
