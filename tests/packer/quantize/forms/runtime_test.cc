// The layouts of MLX and GPTQ, read back by long-hand readers of their own.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>

#include "packer/quantize/forms/quantization_config.h"
#include "packer/quantize/planner.h"
#include "tests/packer/quantize/reference.h"

namespace entrofs::packer::quantize {
namespace {

using reference::Dense;
using reference::Floats;
using reference::RandomMatrix;
using reference::ReadAll;
using testing::HasSubstr;

Result<Plan> PlanFor(Options options, Runtime runtime, const std::vector<tree::OutputTensor>& tensors) {
  options.runtime = runtime;
  ThreadPool pool(2);
  return PlanQuantization(options, tensors, pool);
}

Options With(Scheme scheme, uint32_t group_size = 128, bool symmetric = false) {
  Options options;
  options.scheme = scheme;
  options.group_size = group_size;
  options.symmetric = symmetric;
  return options;
}

const tree::OutputTensor& Named(const std::vector<tree::OutputTensor>& outputs, const std::string& name) {
  for (const tree::OutputTensor& output : outputs) {
    if (output.name == name) return output;
  }
  ADD_FAILURE() << "no tensor " << name;
  return outputs.front();
}

// Number `index` of `bits` bits, from the lowest bits of the first byte on.
unsigned Code(const std::vector<uint8_t>& bytes, size_t index, int bits) {
  return bits == 8 ? bytes[index] : bytes[index / 2] >> (index % 2 * 4) & 15u;
}

// Bits per code, as the shapes tell.
int BitsOf(uint64_t words, uint64_t codes) { return static_cast<int>(32 * words / codes); }

std::vector<double> MlxDense(const std::vector<tree::OutputTensor>& outputs, uint64_t columns) {
  const tree::OutputTensor& weight = Named(outputs, "layers.0.up_proj.weight");
  EXPECT_EQ(weight.dtype, source::Dtype::kU32);
  const std::vector<double> scales = Floats(Named(outputs, "layers.0.up_proj.scales"));
  const std::vector<double> biases = Floats(Named(outputs, "layers.0.up_proj.biases"));
  const std::vector<uint8_t> bytes = ReadAll(weight);
  const int bits = BitsOf(weight.shape[1], columns);
  const uint64_t count = weight.shape[0] * columns, group = count / scales.size();
  std::vector<double> dense(count);
  for (uint64_t i = 0; i < count; ++i) dense[i] = scales[i / group] * Code(bytes, i, bits) + biases[i / group];
  return dense;
}

std::vector<double> GptqDense(const std::vector<tree::OutputTensor>& outputs, uint64_t rows, uint64_t columns) {
  const tree::OutputTensor& qweight = Named(outputs, "layers.0.up_proj.qweight");
  const std::vector<double> scales = Floats(Named(outputs, "layers.0.up_proj.scales"));
  const std::vector<uint8_t> words = ReadAll(qweight), zeros = ReadAll(Named(outputs, "layers.0.up_proj.qzeros"));
  const std::vector<uint8_t> group_of = ReadAll(Named(outputs, "layers.0.up_proj.g_idx"));
  const int bits = BitsOf(qweight.shape[0], columns);
  const uint64_t per_word = 32 / static_cast<uint64_t>(bits);
  std::vector<double> dense(rows * columns);
  for (uint64_t row = 0; row < rows; ++row) {
    for (uint64_t column = 0; column < columns; ++column) {
      const uint64_t group = group_of[4 * column] + 256u * group_of[4 * column + 1];
      const uint64_t word = column / per_word * rows + row;
      const unsigned code = Code(words, word * per_word + column % per_word, bits);
      // Zero points are packed along the rows of the matrix, and stored less one.
      const unsigned zero = Code(zeros, group * rows + row, bits) + 1;
      dense[row * columns + column] = (static_cast<double>(code) - zero) * scales[group * rows + row];
    }
  }
  return dense;
}

class EveryRuntimeDtype : public testing::TestWithParam<source::Dtype> {};

TEST_P(EveryRuntimeDtype, MlxShowsTheSameBytesAndWeightsAsCompressedTensors) {
  const tree::OutputTensor input = RandomMatrix("layers.0.up_proj.weight", GetParam(), 24, 256, 0, 1);
  for (const Options& options :
       {With(Scheme::kUint4Group, 64), With(Scheme::kUint4Group, 32, true), With(Scheme::kInt8Channel),
        With(Scheme::kInt8Tensor), With(Scheme::kUint4), With(Scheme::kRate)}) {
    SCOPED_TRACE(Name(options.scheme));
    Result<Plan> mlx = PlanFor(options, Runtime::kMlx, {input});
    Result<Plan> packed = PlanFor(options, Runtime::kCompressedTensors, {input});
    ASSERT_TRUE(mlx.ok() && packed.ok());
    const std::vector<tree::OutputTensor>& outputs = mlx->tensors[0].outputs;
    EXPECT_EQ(ReadAll(outputs.front()), ReadAll(packed->tensors[0].outputs.front()));
    EXPECT_EQ(outputs.front().weight_count, 24u * 256);
    const std::vector<double> actual = MlxDense(outputs, 256);
    const std::vector<double> wanted = Dense(packed->tensors[0].outputs, *packed->tensors[0].form);
    const std::vector<double> biases = Floats(Named(outputs, "layers.0.up_proj.biases"));
    ASSERT_EQ(actual.size(), wanted.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      // Products and biases are rounded to the dtype in one of the two or the other.
      const double bias = std::abs(biases[i * biases.size() / actual.size()]);
      ASSERT_NEAR(actual[i], wanted[i], (bias + std::abs(wanted[i])) / 256) << i;
    }
  }
}

TEST_P(EveryRuntimeDtype, GptqStandsForTheWeightsOfCompressedTensors) {
  const tree::OutputTensor input = RandomMatrix("layers.0.up_proj.weight", GetParam(), 24, 256, 0, 2);
  for (const Options& options : {With(Scheme::kUint4Group, 64, true), With(Scheme::kUint4Group, 128, true),
                                 With(Scheme::kInt8Channel), With(Scheme::kInt8Tensor), With(Scheme::kRate)}) {
    SCOPED_TRACE(Name(options.scheme));
    Result<Plan> gptq = PlanFor(options, Runtime::kGptq, {input});
    Result<Plan> packed = PlanFor(options, Runtime::kCompressedTensors, {input});
    ASSERT_TRUE(gptq.ok() && packed.ok());
    const std::vector<double> actual = GptqDense(gptq->tensors[0].outputs, 24, 256);
    const std::vector<double> wanted = Dense(packed->tensors[0].outputs, *packed->tensors[0].form);
    ASSERT_EQ(actual.size(), wanted.size());
    for (size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], wanted[i], std::abs(wanted[i]) / 256) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Quantize, EveryRuntimeDtype,
                         testing::Values(source::Dtype::kBf16, source::Dtype::kF16, source::Dtype::kF32),
                         [](const auto& param) { return std::string(Name(param.param)); });

TEST(Runtime, LeavesMatricesThatDoNotFit) {
  for (Runtime runtime : {Runtime::kMlx, Runtime::kGptq}) {
    Result<Plan> plan = PlanFor(With(Scheme::kUint4Group, 128, true), runtime,
                                {RandomMatrix("layers.0.up_proj.weight", source::Dtype::kF32, 16, 192, 0, 1),
                                 RandomMatrix("layers.1.up_proj.weight", source::Dtype::kF32, 16, 256, 0, 1)});
    ASSERT_TRUE(plan.ok());
    EXPECT_FALSE(plan->tensors[0].form.has_value());
    EXPECT_TRUE(plan->tensors[1].form.has_value());
    EXPECT_THAT(plan->warnings, testing::ElementsAre(HasSubstr("rows of 192 weights are not whole groups of 128")));
  }
  Result<Plan> odd = PlanFor(With(Scheme::kInt8Channel), Runtime::kGptq,
                             {RandomMatrix("layers.0.up_proj.weight", source::Dtype::kF32, 15, 64, 0, 1)});
  ASSERT_TRUE(odd.ok());
  EXPECT_THAT(odd->warnings, testing::ElementsAre(HasSubstr("does not fill whole words")));
}

TEST(Runtime, GptqRefusesCodesThatAreNotSymmetric) {
  for (const Options& options : {With(Scheme::kUint8), With(Scheme::kUint4), With(Scheme::kUint4Group)}) {
    Result<Plan> plan = PlanFor(options, Runtime::kGptq, {});
    ASSERT_FALSE(plan.ok());
    EXPECT_THAT(plan.error().message, HasSubstr("symmetric"));
  }
}

TEST(Runtime, ConfigurationsNameTheLayout) {
  const std::vector<tree::OutputTensor> model = {
      RandomMatrix("layers.0.up_proj.weight", source::Dtype::kF32, 32, 256, 0, 1)};
  auto config_of = [&](const Options& options, Runtime runtime) {
    Result<std::string> text = forms::AddQuantizationConfig("{\"a\": 1}", PlanFor(options, runtime, model)->tensors);
    EXPECT_TRUE(text.ok());
    return nlohmann::json::parse(*text);
  };
  const nlohmann::json mlx = config_of(With(Scheme::kUint4Group, 64), Runtime::kMlx);
  EXPECT_EQ(mlx["quantization"], (nlohmann::json{{"group_size", 64}, {"bits", 4}}));
  EXPECT_EQ(mlx["quantization_config"], mlx["quantization"]);
  EXPECT_EQ(mlx["a"], 1);
  const nlohmann::json gptq = config_of(With(Scheme::kUint4Group, 64, true), Runtime::kGptq)["quantization_config"];
  EXPECT_EQ(gptq["quant_method"], "gptq");
  EXPECT_EQ(gptq["bits"], 4);
  EXPECT_EQ(gptq["group_size"], 64);
  EXPECT_EQ(gptq["sym"], true);
  EXPECT_EQ(config_of(With(Scheme::kInt8Channel), Runtime::kGptq)["quantization_config"]["group_size"], -1);
}

TEST(Runtime, GptqConfigurationsNameWhatIsNotQuantized) {
  Options options = With(Scheme::kInt8Channel);
  options.exclude = {"*q_proj*"};
  Result<Plan> plan =
      PlanFor(options, Runtime::kGptq,
              {RandomMatrix("model.layers.0.self_attn.q_proj.weight", source::Dtype::kBf16, 32, 128, 0, 1),
               RandomMatrix("model.layers.0.self_attn.k_proj.weight", source::Dtype::kBf16, 32, 128, 0, 2)});
  ASSERT_TRUE(plan.ok());
  Result<std::string> text = forms::AddQuantizationConfig("{}", plan->tensors);
  ASSERT_TRUE(text.ok());
  const auto config = nlohmann::json::parse(*text)["quantization_config"];
  bool excludes_query = false;
  for (const auto& [pattern, rule] : config["dynamic"].items()) {
    ASSERT_EQ(pattern.substr(0, 2), "-:");
    const std::regex module(pattern.substr(2));
    excludes_query = excludes_query || std::regex_search("model.layers.0.self_attn.q_proj", module);
    EXPECT_FALSE(std::regex_search("model.layers.0.self_attn.k_proj", module)) << pattern;
  }
  EXPECT_TRUE(excludes_query);
}

}  // namespace
}  // namespace entrofs::packer::quantize
