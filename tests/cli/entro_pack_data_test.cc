// Real checkpoints through the command line. They are not part of the project: without them these tests skip.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>

#include "tests/cli/run_entro_pack.h"
#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace entrofs {
namespace {

using testing_support::CliResult;
using testing_support::RunEntroPack;
using testing_support::TemporaryFolder;

std::string PathOf(const std::string& checkpoint) { return testing_support::DataFolder() + "/" + checkpoint; }

#define SKIP_WITHOUT(checkpoint)                    \
  if (!std::filesystem::exists(PathOf(checkpoint))) \
  GTEST_SKIP() << PathOf(checkpoint) << " is not there: put the sample models into the folder that ENTROFS_DATA names"

class RealCheckpoint : public testing::TestWithParam<const char*> {};

TEST_P(RealCheckpoint, ComesBackByteForByte) {
  SKIP_WITHOUT(GetParam());
  TemporaryFolder folder;
  const std::string source = PathOf(GetParam());
  const std::string archive = folder.Path("a.entro");
  CliResult create = RunEntroPack({"create", source, "-o", archive, "--no-verify"});
  ASSERT_EQ(create.code, 0) << create.err;
  EXPECT_EQ(RunEntroPack({"verify", archive, "--source", source}).code, 0);
  ASSERT_EQ(RunEntroPack({"extract", archive, folder.Path("target")}).code, 0);
  EXPECT_EQ(testing_support::Difference(source, folder.Path("target")), "");
}

INSTANTIATE_TEST_SUITE_P(Data, RealCheckpoint,
                         testing::Values("tiny-llama", "gpt-neo-125m-attn", "use-lite", "stories260k",
                                         "tinystories-656k", "silero-vad", "dash-lstm-q8",
                                         "quantized/ct-w4-g128-asym-pack", "quantized/fp8-block128",
                                         "quantized/gptq-w4-group-v1", "quantized/mlx-w4-g64-group"),
                         [](const auto& param) {
                           std::string name = param.param;
                           for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           return name;
                         });

nlohmann::json CreateJson(const std::string& checkpoint, std::vector<std::string> options) {
  TemporaryFolder folder;
  options.insert(options.begin(), {"create", PathOf(checkpoint), "-o", folder.Path("a.entro"), "--json"});
  CliResult create = RunEntroPack(options);
  EXPECT_EQ(create.code, 0) << create.err;
  return nlohmann::json::parse(create.out);
}

// Archive bytes over plain bytes.
double Ratio(const nlohmann::json& json) {
  return json["archive_bytes"].get<double>() / json["virtual_bytes"].get<double>();
}

TEST(RealSizes, Bf16ShrinksToTwoThirds) {
  SKIP_WITHOUT("gpt-neo-125m-attn");
  EXPECT_LE(Ratio(CreateJson("gpt-neo-125m-attn", {})), 0.665);
}

TEST(RealSizes, F32EncoderShrinksBySixteenPercent) {
  SKIP_WITHOUT("use-lite");
  EXPECT_LE(Ratio(CreateJson("use-lite", {})), 0.835);
}

double EntropyBytes(const std::string& bytes, size_t begin, size_t stride) {
  std::array<double, 256> counts{};
  for (size_t i = begin; i < bytes.size(); i += stride) ++counts[static_cast<uint8_t>(bytes[i])];
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  double bits = 0;
  for (double count : counts) bits += count == 0 ? 0 : count * std::log2(total / count);
  return bits / 8;
}

// The order-0 entropy of every tensor's bytes, or of its byte planes where those have less.
double PlaneEntropyBytes(const std::string& safetensors) {
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, safetensors.data(), sizeof(header_bytes));
  const nlohmann::json header = nlohmann::json::parse(safetensors.substr(8, header_bytes));
  double total = 0;
  for (const auto& [name, tensor] : header.items()) {
    if (name == "__metadata__") continue;
    const size_t begin = tensor["data_offsets"][0], end = tensor["data_offsets"][1];
    std::string bytes = safetensors.substr(8 + header_bytes + begin, end - begin);
    const std::string dtype = tensor["dtype"];
    double least = EntropyBytes(bytes, 0, 1);
    if (dtype == "BF16" || dtype == "F16") {
      // The sign joins the mantissa.
      for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
        const unsigned low = static_cast<uint8_t>(bytes[i]), high = static_cast<uint8_t>(bytes[i + 1]);
        bytes[i] = static_cast<char>(low << 1 | high >> 7);
        bytes[i + 1] = static_cast<char>(high << 1 | low >> 7);
      }
      least = std::min(least, EntropyBytes(bytes, 0, 2) + EntropyBytes(bytes, 1, 2));
    }
    total += least;
  }
  return total;
}

TEST(RealSizes, WhatOthersQuantizedIsWithinOnePercentOfItsEntropy) {
  for (const char* name : {"ct-w4-g128-asym-pack", "fp8-block128", "gptq-w4-group-v1", "mlx-w4-g64-group"}) {
    const std::string path = std::string("quantized/") + name + "/model.safetensors";
    SKIP_WITHOUT(path);
    const double archive_bytes = CreateJson(path, {})["archive_bytes"].get<double>();
    EXPECT_LE(archive_bytes, 1.01 * PlaneEntropyBytes(testing_support::ReadFile(PathOf(path)))) << name;
  }
}

// Archive bytes of all quantized tensors over the entropy of their codes.
double OverEntropy(const nlohmann::json& json) {
  double archive_bits = 0;
  double entropy_bits = 0;
  for (const auto& tensor : json["tensors"]) {
    if (!tensor.contains("sqnr_db")) continue;
    const double archived = 8 * tensor["archive_bytes"].get<double>();
    archive_bits += archived;
    entropy_bits += archived * tensor["entropy_bits"].get<double>() / tensor["bits_per_weight"].get<double>();
  }
  return archive_bits / entropy_bits;
}

TEST(RealSizes, Uint8IsWithinOnePercentOfItsEntropy) {
  SKIP_WITHOUT("gpt-neo-125m-attn");
  EXPECT_LE(OverEntropy(CreateJson("gpt-neo-125m-attn", {"--quant", "uint8"})), 1.01);
  EXPECT_LE(OverEntropy(CreateJson("gpt-neo-125m-attn", {"--quant", "uint8", "--codec", "huffman"})), 1.025);
}

TEST(RealSizes, OneTableForAllCostsMoreThanOnePerTensor) {
  SKIP_WITHOUT("tiny-llama");
  const double per_tensor = Ratio(CreateJson("tiny-llama", {"--quant", "uint8"}));
  const double per_archive = Ratio(CreateJson("tiny-llama", {"--quant", "uint8", "--tables", "archive"}));
  EXPECT_LT(per_tensor, per_archive);
  EXPECT_LT(per_archive, 0.95);
}

}  // namespace
}  // namespace entrofs
