#include "packer/analyze/trial.h"

#include <algorithm>

#include "packer/report/text_table.h"

namespace entrofs::packer::analyze {
namespace {

using quantize::Scheme;

// "3.5", "2.25", "4".
std::string RateText(double rate) {
  std::string text = report::Decimal(rate, 3);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

Trial OfScheme(quantize::Scheme scheme, std::string title) {
  Trial trial;
  trial.name = Name(scheme);
  trial.title = std::move(title);
  trial.arguments = "--quant " + trial.name;
  trial.options.scheme = scheme;
  return trial;
}

Trial Grouped(uint32_t group_size) {
  const std::string size = std::to_string(group_size);
  Trial trial = OfScheme(quantize::Scheme::kUint4Group, "uint4, groups of " + size);
  trial.name += "-" + size;
  if (group_size != trial.options.group_size) trial.arguments += " --group-size " + size;
  trial.options.group_size = group_size;
  return trial;
}

Trial AtRate(double rate) {
  const std::string text = RateText(rate);
  Trial trial = OfScheme(quantize::Scheme::kRate, "int8 for " + text + " bits per weight");
  trial.name += "-" + text;
  trial.arguments = "--bits-per-weight " + text;
  trial.options.bits_per_weight = rate;
  return trial;
}

Trial OnTrellis(double rate) {
  Trial trial = AtRate(rate);
  trial.name = "trellis-" + RateText(rate);
  trial.title = "int8 on a trellis, " + RateText(rate) + " bits";
  trial.arguments += " --trellis";
  trial.options.trellis = true;
  return trial;
}

Trial Smoothed() {
  Trial trial = OfScheme(quantize::Scheme::kInt8Tensor, "int8 per tensor, smoothed (SmoothQuant)");
  trial.kind = Trial::Kind::kSmoothed;
  trial.name += "-smoothed";
  trial.arguments.clear();
  return trial;
}

Trial WithOutliersKept() {
  Trial trial = OfScheme(quantize::Scheme::kInt8Channel, "int8 per row, outlier columns kept");
  trial.kind = Trial::Kind::kOutliers;
  trial.name += "-outliers";
  trial.arguments.clear();
  return trial;
}

}  // namespace

std::vector<Trial> Trials(const TrialOptions& options) {
  Trial lossless;
  lossless.kind = Trial::Kind::kLossless;
  lossless.name = "lossless";
  lossless.title = "lossless";
  std::vector<Trial> trials = {lossless,
                               OfScheme(quantize::Scheme::kUint8, "uint8 per tensor (EntroLLM)"),
                               OfScheme(quantize::Scheme::kUint4, "uint4 per tensor (EntroLLM)"),
                               OfScheme(quantize::Scheme::kInt8Tensor, "int8 per tensor"),
                               OfScheme(quantize::Scheme::kInt8Channel, "int8 per row"),
                               WithOutliersKept(),
                               Grouped(128),
                               Grouped(64),
                               Grouped(32)};
  trials[1].keeps_symbols = trials[2].keeps_symbols = true;
  if (options.calibration) trials.insert(trials.begin() + 4, Smoothed());
  std::vector<double> rates = options.rates;
  std::sort(rates.begin(), rates.end());
  rates.erase(std::unique(rates.begin(), rates.end()), rates.end());
  // Of the rates, the one nearest to what 4-bit files usually take.
  auto nearest = std::min_element(rates.begin(), rates.end(),
                                  [](double a, double b) { return std::abs(a - 3.5) < std::abs(b - 3.5); });
  const bool has_hessians = options.calibration && options.calibration->HasHessians();
  for (double rate : rates) {
    trials.push_back(AtRate(rate));
    trials.back().keeps_symbols = rate == *nearest;
    const bool is_for_trellis =
        rate >= quantize::Options::kLeastTrellisBits && rate <= quantize::Options::kMostTrellisBits;
    if (is_for_trellis && !has_hessians) trials.push_back(OnTrellis(rate));
  }
  for (Trial& trial : trials) {
    trial.options.include = options.include;
    trial.options.exclude = options.exclude;
    trial.options.calibration = options.calibration;
    // Of the other schemes it only tells the error.
    if (options.calibration && trial.options.scheme == quantize::Scheme::kRate)
      trial.arguments += " --calibration FILE";
  }
  return trials;
}

}  // namespace entrofs::packer::analyze
