#include "bench/sample_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "packer/source/safetensors.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::bench {
namespace {

using testing_support::TemporaryFolder;

constexpr uint64_t kSmallBytes = 2'000'000;

std::string ReadText(const std::string& path) {
  auto text = ReadWholeFile(path, 64 << 20);
  EXPECT_TRUE(text) << path;
  return text ? *text : "";
}

// Tensor name to bytes, over all safetensors files of a directory.
std::map<std::string, std::string> ReadWeights(const std::string& directory) {
  std::map<std::string, std::string> weights;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() != ".safetensors") continue;
    auto file = OpenForReading(entry.path());
    EXPECT_TRUE(file);
    auto header = packer::source::ReadSafetensorsHeader(**file);
    EXPECT_TRUE(header) << header.error().message;
    const std::string bytes = ReadText(entry.path());
    for (const auto& tensor : header->tensors) {
      weights[tensor.name] = bytes.substr(tensor.offset_bytes, tensor.size_bytes);
    }
  }
  return weights;
}

TEST(SampleCheckpoint, ComesCloseToTheSizeAskedFor) {
  for (uint64_t wanted : {4'000'000u, 32'000'000u, 500'000'000u}) {
    EXPECT_NEAR(static_cast<double>(ChooseShape(wanted).weight_count()), wanted, 0.1 * wanted);
  }
}

TEST(SampleCheckpoint, HasReadableFilesWithEveryTensor) {
  TemporaryFolder folder;
  const std::string directory = folder.path() + "/model";
  SampleOptions options;
  options.size_bytes = kSmallBytes;
  ASSERT_TRUE(WriteSampleCheckpoint(options, directory));
  const SampleShape shape = ChooseShape(kSmallBytes / 2);
  EXPECT_EQ(ReadWeights(directory).size(), ListTensors(shape, options.dtype).size());
  const auto config = nlohmann::json::parse(ReadText(directory + "/config.json"));
  EXPECT_EQ(config["hidden_size"], shape.hidden);
  EXPECT_EQ(config["architectures"], nlohmann::json::array({"LlamaForCausalLM"}));
  const auto tokenizer = nlohmann::json::parse(ReadText(directory + "/tokenizer.json"));
  EXPECT_EQ(tokenizer["model"]["vocab"].size(), 256u);
}

TEST(SampleCheckpoint, HoldsTheSameWeightsInAnyNumberOfShards) {
  TemporaryFolder folder;
  SampleOptions options;
  options.size_bytes = kSmallBytes;
  ASSERT_TRUE(WriteSampleCheckpoint(options, folder.path() + "/one"));
  options.shards = 3;
  ASSERT_TRUE(WriteSampleCheckpoint(options, folder.path() + "/three"));
  EXPECT_EQ(ReadWeights(folder.path() + "/one"), ReadWeights(folder.path() + "/three"));
  const auto index = nlohmann::json::parse(ReadText(folder.path() + "/three/model.safetensors.index.json"));
  EXPECT_EQ(index["weight_map"]["lm_head.weight"], "model-00003-of-00003.safetensors");
  options.seed = 2;
  ASSERT_TRUE(WriteSampleCheckpoint(options, folder.path() + "/other"));
  EXPECT_NE(ReadWeights(folder.path() + "/one"), ReadWeights(folder.path() + "/other"));
}

TEST(SampleCheckpoint, RefusesWhatMakesNoSense) {
  TemporaryFolder folder;
  SampleOptions options;
  options.size_bytes = 1000;
  EXPECT_FALSE(WriteSampleCheckpoint(options, folder.path() + "/a"));
  options.size_bytes = kSmallBytes;
  options.dtype = packer::source::Dtype::kI8;
  EXPECT_FALSE(WriteSampleCheckpoint(options, folder.path() + "/a"));
  options.dtype = packer::source::Dtype::kF16;
  options.shards = 1000;
  EXPECT_FALSE(WriteSampleCheckpoint(options, folder.path() + "/a"));
  options.shards = 1;
  std::filesystem::create_directories(folder.path() + "/full/x");
  EXPECT_FALSE(WriteSampleCheckpoint(options, folder.path() + "/full"));
  EXPECT_FALSE(std::filesystem::exists(folder.path() + "/a"));
}

}  // namespace
}  // namespace entrofs::bench
