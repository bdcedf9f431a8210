#include "packer/source/json_text.h"

#include <gtest/gtest.h>

#include "packer/source/shard_index.h"

namespace entrofs::packer::source {
namespace {

TEST(JsonText, KeepsTheOrderOfKeysAtEveryDepth) {
  const std::string text = R"({"b":[1,-2,2.5,null,true,{"z":"x","a":{}}],"a":{"2":[],"1":0}})";
  Result<nlohmann::ordered_json> json = ParseJsonText(text);
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->dump(), text);
}

TEST(JsonText, LastMemberOfANameCountsAtThePlaceOfTheFirst) {
  Result<nlohmann::ordered_json> json = ParseJsonText(R"({"a":1,"b":{"x":1,"x":[2]},"a":3})");
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->dump(), R"({"a":3,"b":{"x":[2]}})");
}

TEST(JsonText, MayBeNoObject) {
  EXPECT_EQ(ParseJsonText(" 7 ")->dump(), "7");
  EXPECT_EQ(ParseJsonText("[]")->dump(), "[]");
  for (const char* bad : {"", "{", "[1,]", "{\"a\"}", "nul", "1 2", "{\"a\":1e999}"}) {
    EXPECT_FALSE(ParseJsonText(bad).ok()) << bad;
  }
}

TEST(JsonText, ReadsTheIndexOfAHundredThousandTensors) {
  std::string text = R"({"weight_map":{)";
  Renames renames;
  for (int i = 0; i < 100'000; ++i) {
    const std::string name = "model.layers." + std::to_string(i / 1000) + ".experts." + std::to_string(i) + ".weight";
    text += (i == 0 ? "\"" : ",\"") + name + "\":\"1.safetensors\"";
    renames["1.safetensors"][name] = {name + "_packed"};
  }
  text += "}}";
  EXPECT_EQ(ShardsOf(text)->size(), 1u);
  Result<std::string> rewritten = RewriteShardIndex(text, renames, 0);
  ASSERT_TRUE(rewritten.ok());
  Result<nlohmann::ordered_json> json = ParseJsonText(*rewritten);
  ASSERT_TRUE(json.ok());
  EXPECT_EQ((*json)["weight_map"].size(), 100'000u);
}

}  // namespace
}  // namespace entrofs::packer::source
