#include "packer/quantize/forms/module_patterns.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

namespace entrofs::packer::quantize::forms {
namespace {

using Sets = std::vector<std::vector<std::string>>;

// As compressed-tensors matches: "re:" from the start of the name, others as a whole.
bool Matches(const std::vector<std::string>& patterns, const std::string& module) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    if (!pattern.starts_with("re:")) return pattern == module;
    return std::regex_search(module, std::regex(pattern.substr(3)), std::regex_constants::match_continuous);
  });
}

TEST(ModulePatterns, FindModulesUnderPrefixes) {
  const Sets patterns = ModulePatterns({{"visual.blocks.0.down_proj"}, {"model.layers.0.down_proj"}});
  for (const char* module : {"visual.blocks.0.down_proj", "model.visual.blocks.0.down_proj"}) {
    EXPECT_TRUE(Matches(patterns[0], module)) << module;
    EXPECT_FALSE(Matches(patterns[1], module)) << module;
  }
  for (const char* module : {"model.layers.0.down_proj", "model.language_model.layers.0.down_proj"}) {
    EXPECT_TRUE(Matches(patterns[1], module)) << module;
    EXPECT_FALSE(Matches(patterns[0], module)) << module;
  }
}

TEST(ModulePatterns, EachNameMatchesItsOwnSetOnly) {
  const Sets sets = {{"proj_out", "lm_head", "layers.7.q_proj", "visual.layers.1.fc1", "layers.1.a+b"},
                     {"blocks.0.proj_out", "layers.1.q_proj", "layers.2.q_proj", "model.layers.1.fc1", "layers.1.aab"}};
  const Sets patterns = ModulePatterns(sets);
  for (size_t i = 0; i < sets.size(); ++i) {
    for (const std::string& name : sets[i]) {
      EXPECT_TRUE(Matches(patterns[i], name)) << name;
      EXPECT_FALSE(Matches(patterns[1 - i], name)) << name;
    }
  }
}

TEST(ModulePatterns, LayersShareAPattern) {
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i) names.push_back("model.layers." + std::to_string(i) + ".q_proj");
  EXPECT_EQ(ModulePatterns({names})[0], std::vector<std::string>{"re:(?:.*\\.)?layers\\.\\d+\\.q_proj$"});
}

}  // namespace
}  // namespace entrofs::packer::quantize::forms
