#include "packer/analyze/trial.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace entrofs::packer::analyze {
namespace {

TEST(Trials, BeginWithLosslessAndHaveNamesOfTheirOwn) {
  const std::vector<Trial> trials = Trials({});
  EXPECT_EQ(trials.front().kind, Trial::Kind::kLossless);
  std::set<std::string> names;
  for (const Trial& trial : trials) EXPECT_TRUE(names.insert(trial.name).second) << trial.name;
  EXPECT_EQ(trials.size(), 15u);
}

TEST(Trials, TakeRatesInOrderAndOnce) {
  TrialOptions options;
  options.rates = {4, 2.25, 4, 0.5};
  const std::vector<Trial> trials = Trials(options);
  ASSERT_EQ(trials.size(), 12u);
  EXPECT_EQ(trials[9].name, "rate-0.5");
  EXPECT_EQ(trials[10].arguments, "--bits-per-weight 2.25");
  EXPECT_EQ(trials[11].options.bits_per_weight, 4);
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
