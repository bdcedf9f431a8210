#include "packer/analyze/trial.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::packer::analyze {
namespace {

TEST(Trials, BeginWithLosslessAndHaveNamesOfTheirOwn) {
  const std::vector<Trial> trials = Trials({});
  EXPECT_EQ(trials.front().kind, Trial::Kind::kLossless);
  std::set<std::string> names;
  for (const Trial& trial : trials) EXPECT_TRUE(names.insert(trial.name).second) << trial.name;
  EXPECT_EQ(trials.size(), 21u);
}

TEST(Trials, TakeRatesInOrderAndOnce) {
  TrialOptions options;
  options.rates = {4, 2.25, 4, 0.5};
  const std::vector<Trial> trials = Trials(options);
  ASSERT_EQ(trials.size(), 14u);
  EXPECT_EQ(trials[9].name, "rate-0.5");
  EXPECT_EQ(trials[10].arguments, "--bits-per-weight 2.25");
  EXPECT_EQ(trials[12].options.bits_per_weight, 4);
}

TEST(Trials, TryRatesOfOneToFiveBitsOnATrellisToo) {
  TrialOptions options;
  options.rates = {0.9, 1, 5, 5.1};
  std::vector<std::string> arguments;
  for (const Trial& trial : Trials(options)) {
    if (trial.options.trellis) arguments.push_back(trial.arguments);
  }
  EXPECT_EQ(arguments, (std::vector<std::string>{"--bits-per-weight 1 --trellis", "--bits-per-weight 5 --trellis"}));
}

TEST(Trials, LeaveOutTrellisesWhereACalibrationHoldsHessians) {
  testing_support::TemporaryFolder folder;
  testing_support::WriteFile(
      folder.Path("hessians.safetensors"),
      testing_support::SafetensorsFile({testing_support::Weights("up.weight", source::Dtype::kF32, {4, 4}, 1)}));
  Result<std::shared_ptr<const quantize::arithmetic::Calibration>> calibration =
      quantize::arithmetic::Calibration::Open(folder.Path("hessians.safetensors"));
  ASSERT_TRUE(calibration.ok()) << calibration.error().message;
  TrialOptions options;
  options.calibration = *calibration;
  for (const Trial& trial : Trials(options)) EXPECT_FALSE(trial.options.trellis) << trial.name;
}

TEST(Trials, KeepSymbolsOfTheRateNearestThreeAndAHalf) {
  TrialOptions options;
  options.rates = {2, 3, 5};
  std::set<std::string> kept;
  for (const Trial& trial : Trials(options)) {
    if (trial.keeps_symbols) kept.insert(trial.name);
  }
  EXPECT_EQ(kept, (std::set<std::string>{"uint8", "uint4", "rate-3"}));
}

TEST(Trials, CarryPatternsToEveryScheme) {
  TrialOptions options;
  options.exclude = {"*.k_proj.*"};
  for (const Trial& trial : Trials(options)) EXPECT_EQ(trial.options.exclude, options.exclude) << trial.name;
}

}  // namespace
}  // namespace entrofs::packer::analyze
