// What entro-bench prints, on inputs too small for its timings to mean anything.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "bench/cli.h"
#include "bench/inputs.h"

namespace entrofs::bench {
namespace {

using testing::HasSubstr;

struct Outcome {
  int exit_code;
  std::string out;
  std::string err;
};

Outcome Bench(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  const int exit_code = RunBench(arguments, out, err);
  return {exit_code, out.str(), err.str()};
}

TEST(BenchCodec, JsonHasOneObjectPerContenderInputAndCores) {
  const Outcome outcome = Bench({"codec", "--json", "--size", "64KiB", "--segment-size", "64KiB", "--repeats", "1",
                                 "--inputs", "int8-row,uint4-group,bf16-tensor"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto rows = nlohmann::json::parse(outcome.out);
  ASSERT_TRUE(rows.is_array());
  const std::set<std::string> keys = {"input",
                                      "codec",
                                      "kernel",
                                      "cores",
                                      "gb_per_s_hot",
                                      "gb_per_s_dram",
                                      "bits_per_byte",
                                      "entropy_bits_per_byte",
                                      "ratio_to_zstd1",
                                      "ratio_to_huff0",
                                      "ratio_to_htscodecs"};
  std::set<std::string> codecs;
  for (const auto& row : rows) {
    std::set<std::string> present;
    for (const auto& [key, value] : row.items()) present.insert(key);
    EXPECT_EQ(present, keys);
    codecs.insert(row["codec"].get<std::string>());
  }
  for (const char* codec : {"memcpy", "zstd-1", "tans", "huffman", "tans-merge", "huffman-merge", "tans-encode"}) {
    EXPECT_TRUE(codecs.contains(codec)) << codec;
  }
}

TEST(BenchCodec, TableNamesEveryKernelSet) {
  const Outcome outcome =
      Bench({"codec", "--size", "64KiB", "--repeats", "1", "--inputs", "bf16-exponent", "--codecs", "tans"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  for (std::string_view kernels : codec::SupportedKernels()) EXPECT_THAT(outcome.out, HasSubstr(std::string(kernels)));
}

TEST(BenchCodec, HelpListsInputsAndExplainsTheFigures) {
  const Outcome outcome = Bench({"codec", "--help"});
  EXPECT_EQ(outcome.exit_code, 0);
  for (const InputKind& kind : InputKinds()) EXPECT_THAT(outcome.out, HasSubstr(std::string(kind.name)));
}

TEST(BenchCodec, WrongUsageIsExitCodeTwo) {
  EXPECT_EQ(Bench({}).exit_code, 2);
  EXPECT_EQ(Bench({"no-such"}).exit_code, 2);
  EXPECT_EQ(Bench({"codec", "--no-such"}).exit_code, 2);
  EXPECT_EQ(Bench({"codec", "--inputs", "no-such"}).exit_code, 2);
  EXPECT_EQ(Bench({"codec", "--size", "many"}).exit_code, 2);
  EXPECT_EQ(Bench({"codec", "--repeats", "0"}).exit_code, 2);
}

TEST(BenchInputs, AreTheSameEveryTimeAndHaveTheirKnownEntropy) {
  // Bits per byte of the distributions at 64 MiB; small samples come close from below.
  const std::pair<const char*, double> kKnown[] = {{"int8-row", 7.121},    {"uint8-tensor", 5.492},
                                                   {"int8-rate4", 3.930},  {"uint4-tensor", 2.814},
                                                   {"uint4-group", 7.256}, {"bf16-exponent", 2.611}};
  for (const auto& [name, bits] : kKnown) {
    const std::vector<uint8_t> plain = MakeSynthetic(name, 2 << 20);
    ASSERT_EQ(plain.size(), 2u << 20);
    EXPECT_EQ(plain, MakeSynthetic(name, 2 << 20));
    codec::Histogram histogram{};
    codec::CountBytes(plain, histogram);
    EXPECT_NEAR(codec::EntropyBits(histogram) / static_cast<double>(plain.size()), bits, 0.03) << name;
  }
}

}  // namespace
}  // namespace entrofs::bench
