#include "packer/source/shard_index.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace entrofs::packer::source {
namespace {

constexpr const char* kIndex =
    R"({"metadata":{"total_size":10,"note":"kept"},"weight_map":{"a":"1.safetensors","b":"2.safetensors",)"
    R"("c":"1.safetensors"},"extra":[1]})";

TEST(ShardIndex, NamesItsShards) {
  Result<std::set<std::string>> shards = ShardsOf(kIndex);
  ASSERT_TRUE(shards.ok());
  EXPECT_EQ(*shards, (std::set<std::string>{"1.safetensors", "2.safetensors"}));
  EXPECT_TRUE(IsShardIndex("x/model.safetensors.index.json"));
  EXPECT_FALSE(IsShardIndex("index.json"));
}

TEST(ShardIndex, IsRewrittenWithNewNamesAndSize) {
  Renames renames;
  renames["1.safetensors"]["a"] = {"a_packed", "a_scale"};
  renames["1.safetensors"]["b"] = {"never: b is in the other shard"};
  Result<std::string> text = RewriteShardIndex(kIndex, renames, 7);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(nlohmann::json::parse(*text), nlohmann::json::parse(R"({"metadata":{"total_size":7,"note":"kept"},
      "weight_map":{"a_packed":"1.safetensors","a_scale":"1.safetensors","b":"2.safetensors","c":"1.safetensors"},
      "extra":[1]})"));
}

TEST(ShardIndex, RefusesWhatIsNotOne) {
  for (const char* bad : {"", "[]", "{}", R"({"weight_map":[]})", R"({"weight_map":{"a":1}})"}) {
    EXPECT_FALSE(ShardsOf(bad).ok()) << bad;
    EXPECT_FALSE(RewriteShardIndex(bad, {}, 0).ok()) << bad;
  }
}

TEST(ShardIndex, RefusesNestingThatWouldExhaustTheStack) {
  const std::string deep = R"({"weight_map":{},"extra":)" + std::string(1 << 20, '[') + std::string(1 << 20, ']') + "}";
  Result<std::string> text = RewriteShardIndex(deep, {}, 0);
  ASSERT_FALSE(text.ok());
  EXPECT_NE(text.error().message.find("nests more than"), std::string::npos);
  EXPECT_FALSE(RewriteShardIndex(std::string("{\"weight_map\":{}}\0}", 19), {}, 0).ok()) << "bytes after the object";
  const std::string quoted = R"({"weight_map":{},"extra":")" + std::string(1000, '[') + R"(\"[["})";
  EXPECT_TRUE(RewriteShardIndex(quoted, {}, 0).ok());
}

}  // namespace
}  // namespace entrofs::packer::source
