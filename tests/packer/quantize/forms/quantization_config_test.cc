#include "packer/quantize/forms/quantization_config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/packer/quantize/reference.h"

namespace entrofs::packer::quantize {
namespace {

using nlohmann::json;
using reference::RandomMatrix;

Plan PlanFor(const Options& options, const std::vector<tree::OutputTensor>& tensors) {
  ThreadPool pool(1);
  Result<Plan> plan = PlanQuantization(options, tensors, pool);
  EXPECT_TRUE(plan.ok());
  return std::move(*plan);
}

bool HasPattern(const json& patterns, const std::string& inner) {
  return std::find(patterns.begin(), patterns.end(), "re:(?:.*\\.)?" + inner + "$") != patterns.end();
}

std::vector<tree::OutputTensor> SmallModel() {
  return {RandomMatrix("model.embed_tokens.weight", source::Dtype::kBf16, 16, 128, 0, 1),
          RandomMatrix("model.layers.0.q_proj.weight", source::Dtype::kBf16, 16, 128, 0, 2),
          RandomMatrix("model.layers.0.router.weight", source::Dtype::kBf16, 16, 128, 0, 3)};
}

TEST(QuantizationConfig, KeepsEveryByteOfTheConfigAndAddsOneMember) {
  const std::string config = "{\n \"rms_norm_eps\": 1e-05,\n \"x\": [1, {}]\n}\n";
  Result<std::string> result = forms::AddQuantizationConfig(config, PlanFor({}, SmallModel()).tensors);
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result->starts_with("{\n \"rms_norm_eps\": 1e-05,\n \"x\": [1, {}],\n  \"quantization_config\": {"));
  json parsed = json::parse(*result);
  EXPECT_EQ(parsed.size(), 3u);
  json quantization = parsed["quantization_config"];
  EXPECT_EQ(quantization["quant_method"], "compressed-tensors");
  EXPECT_EQ(quantization["format"], "naive-quantized");
  EXPECT_EQ(quantization["quantization_status"], "compressed");
  for (const char* name : {"lm_head", "proj_out", "layers\\.\\d+\\.router", "embed_tokens"}) {
    EXPECT_TRUE(HasPattern(quantization["ignore"], name)) << name;
  }
  json group = quantization["config_groups"]["group_0"];
  EXPECT_EQ(group["format"], "naive-quantized");
  EXPECT_EQ(group["targets"], json{"re:(?:.*\\.)?layers\\.\\d+\\.q_proj$"});
  EXPECT_EQ(group["weights"]["num_bits"], 8);
  EXPECT_EQ(group["weights"]["strategy"], "tensor");
  EXPECT_EQ(group["weights"]["symmetric"], false);
}

TEST(QuantizationConfig, GroupsNameTheirModulesWhereLayoutsDiffer) {
  std::vector<tree::OutputTensor> tensors = SmallModel();
  tensors.push_back(RandomMatrix("model.layers.0.down_proj.weight", source::Dtype::kBf16, 16, 172, 0, 4));
  Result<std::string> result =
      forms::AddQuantizationConfig("{}", PlanFor({Scheme::kUint4, {}, {}, 128, false}, tensors).tensors);
  ASSERT_TRUE(result.ok());
  json groups = json::parse(*result)["quantization_config"]["config_groups"];
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups["group_0"]["targets"], json{"re:(?:.*\\.)?layers\\.\\d+\\.down_proj$"});
  EXPECT_EQ(groups["group_0"]["weights"]["strategy"], "channel");
  EXPECT_EQ(groups["group_1"]["targets"], json{"re:(?:.*\\.)?layers\\.\\d+\\.q_proj$"});
  EXPECT_EQ(groups["group_1"]["weights"]["strategy"], "group");
  EXPECT_EQ(groups["group_1"]["weights"]["group_size"], 128);
}

TEST(QuantizationConfig, LmHeadIsNotIgnoredWhenItIsQuantized) {
  std::vector<tree::OutputTensor> tensors = {RandomMatrix("lm_head.weight", source::Dtype::kBf16, 16, 128, 0, 4)};
  Result<std::string> result =
      forms::AddQuantizationConfig("{}", PlanFor({Scheme::kUint8, {"lm_head*"}, {}}, tensors).tensors);
  ASSERT_TRUE(result.ok());
  EXPECT_FALSE(HasPattern(json::parse(*result)["quantization_config"]["ignore"], "lm_head"));
}

TEST(QuantizationConfig, EveryMatrixThatIsLeftIsIgnored) {
  std::vector<tree::OutputTensor> tensors = SmallModel();
  for (const char* name : {"visual.patch_embedding.linear.weight", "embeddings_project.weight"}) {
    tensors.push_back(RandomMatrix(name, source::Dtype::kBf16, 16, 128, 0, 5));
  }
  tree::OutputTensor& wide = tensors.emplace_back(RandomMatrix("wide.weight", source::Dtype::kBf16, 16, 128, 0, 6));
  wide.dtype = source::Dtype::kF8E4M3;
  wide.shape = {16, 256};
  Result<std::string> result = forms::AddQuantizationConfig("{}", PlanFor({}, tensors).tensors);
  ASSERT_TRUE(result.ok());
  const json ignored = json::parse(*result)["quantization_config"]["ignore"];
  for (const char* name : {"visual\\.patch_embedding\\.linear", "embeddings_project", "wide"}) {
    EXPECT_TRUE(HasPattern(ignored, name)) << name;
  }
}

TEST(QuantizationConfig, NotQuantizedMayBeSaidByNullAndByAnEmptyObject) {
  const Plan plan = PlanFor({}, SmallModel());
  for (const char* config :
       {"{\"quantization_config\":null}", "{\"quantization_config\": { }, \"a\":1}",
        "{\"a\":1,\n \"quantization_config\": null\n}", "{\"b\":{\"quantization_config\":null}}"}) {
    Result<std::string> result = forms::AddQuantizationConfig(config, plan.tensors);
    ASSERT_TRUE(result.ok()) << config;
    json parsed = json::parse(*result, nullptr, false);
    ASSERT_TRUE(parsed.is_object()) << *result;
    EXPECT_EQ(parsed["quantization_config"]["quant_method"], "compressed-tensors");
    EXPECT_EQ(parsed.contains("a"), std::string(config).find("\"a\"") != std::string::npos);
  }
}

TEST(QuantizationConfig, NumbersThatAreNotFiniteStay) {
  const std::string config = "{\"limit\": [0.0, Infinity, -Infinity, NaN], \"name\": \"NaN\"}";
  Result<std::string> result = forms::AddQuantizationConfig(config, PlanFor({}, SmallModel()).tensors);
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result->starts_with(config.substr(0, config.size() - 1)));
}

TEST(QuantizationConfig, NothingQuantizedChangesNothing) {
  Result<std::string> result =
      forms::AddQuantizationConfig("{\"a\":1}", PlanFor({Scheme::kUint8, {}, {"*"}}, SmallModel()).tensors);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(*result, "{\"a\":1}");
}

TEST(QuantizationConfig, RefusesWhatIsNoObjectAndWhatIsQuantizedAlready) {
  Plan plan = PlanFor({}, SmallModel());
  for (const char* config : {"", "[]", "{", "{\"a\":1}}", "{\"quantization_config\":{\"bits\":4}}",
                             "{\"text_config\":{\"quantization_config\":{\"bits\":4}}}"}) {
    EXPECT_FALSE(forms::AddQuantizationConfig(config, plan.tensors).ok()) << config;
  }
}

}  // namespace
}  // namespace entrofs::packer::quantize
