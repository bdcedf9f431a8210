// Calibration files, and rounding with error feedback against long-hand arithmetic.

#include "packer/quantize/arithmetic/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>

#include "packer/quantize/arithmetic/code_store.h"
#include "packer/quantize/arithmetic/feedback.h"
#include "tests/packer/quantize/reference.h"
#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::packer::quantize {
namespace {

using testing::HasSubstr;
using testing_support::SafetensorsFile;
using testing_support::TemporaryFolder;

std::string Floats(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// The mean outer product of inputs whose channels have much in common and differ in size.
std::vector<float> CorrelatedHessian(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> sum(n * n);
  constexpr int kInputs = 400;
  for (int sample = 0; sample < kInputs; ++sample) {
    const double common = normal(random);
    std::vector<double> input(n);
    for (size_t j = 0; j < n; ++j) input[j] = (common + 0.5 * normal(random)) * (1 + static_cast<double>(j % 5));
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) sum[i * n + j] += input[i] * input[j] / kInputs;
    }
  }
  return {sum.begin(), sum.end()};
}

struct Layer {
  size_t rows, columns;
  std::vector<float> weights, hessian;
};

Layer RandomLayer(size_t rows, size_t columns) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0, 0.05f);
  Layer layer{rows, columns, std::vector<float>(rows * columns), CorrelatedHessian(columns, 3)};
  for (float& weight : layer.weights) weight = normal(random);
  return layer;
}

// e H e' over all rows, in long hand.
double OutputNoise(const Layer& layer, const std::vector<uint8_t>& codes, const arithmetic::Affine& affine) {
  double noise = 0;
  for (size_t row = 0; row < layer.rows; ++row) {
    std::vector<double> error(layer.columns);
    for (size_t j = 0; j < layer.columns; ++j) {
      const size_t at = row * layer.columns + j;
      error[j] = static_cast<double>(layer.weights[at]) - (codes[at] - affine.zero_point) * double{affine.scale};
    }
    for (size_t i = 0; i < layer.columns; ++i) {
      for (size_t j = 0; j < layer.columns; ++j) {
        noise += error[i] * error[j] * static_cast<double>(layer.hessian[i * layer.columns + j]);
      }
    }
  }
  return noise;
}

constexpr arithmetic::Affine kCoarse{0.05f, 0.05f, 128, 1, 255};

TEST(ErrorFeedback, LeavesFarLessErrorInTheOutputsThanRounding) {
  const Layer layer = RandomLayer(40, 70);
  std::vector<uint8_t> rounded(layer.weights.size()), fed(layer.weights.size());
  arithmetic::Quantize(kCoarse, layer.weights.data(), layer.weights.size(), rounded.data());
  ThreadPool pool(2);
  const arithmetic::ErrorFeedback feedback(layer.hessian, layer.columns, pool);
  const std::vector<arithmetic::Affine> affines(layer.rows, kCoarse);
  const tree::QuantizationError error = feedback.Round(layer.weights, affines, source::Dtype::kF32, fed);
  EXPECT_LT(OutputNoise(layer, fed, kCoarse), 0.5 * OutputNoise(layer, rounded, kCoarse));
  // What it says of itself counts the damping too.
  EXPECT_GT(error.noise_energy, OutputNoise(layer, fed, kCoarse));
  EXPECT_LT(error.noise_energy, 1.5 * OutputNoise(layer, fed, kCoarse));
}

TEST(ErrorFeedback, IsRoundingWhereInputsAreIndependent) {
  Layer layer = RandomLayer(5, 33);
  for (size_t i = 0; i < layer.hessian.size(); ++i)
    layer.hessian[i] = i % 34 == 0 ? 1.0f + static_cast<float>(i) : 0.0f;
  for (bool all_zero : {false, true}) {
    if (all_zero) std::fill(layer.hessian.begin(), layer.hessian.end(), 0.0f);
    std::vector<uint8_t> rounded(layer.weights.size()), fed(layer.weights.size());
    arithmetic::Quantize(kCoarse, layer.weights.data(), layer.weights.size(), rounded.data());
    ThreadPool pool(1);
    arithmetic::ErrorFeedback(layer.hessian, 33, pool)
        .Round(layer.weights, std::vector<arithmetic::Affine>(5, kCoarse), source::Dtype::kF32, fed);
    EXPECT_EQ(fed, rounded);
  }
}

TEST(ErrorFeedback, IsTheSameForAnyNumberOfThreads) {
  const Layer layer = RandomLayer(20, 300);
  const std::vector<arithmetic::Affine> affines(layer.rows, kCoarse);
  std::vector<uint8_t> first;
  for (size_t threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    std::vector<uint8_t> codes(layer.weights.size());
    arithmetic::ErrorFeedback(layer.hessian, layer.columns, pool)
        .Round(layer.weights, affines, source::Dtype::kF32, codes);
    if (first.empty()) first = codes;
    EXPECT_EQ(codes, first);
  }
}

TEST(Calibration, GivesMomentsOfVectorsAndMatrices) {
  TemporaryFolder folder;
  const std::string path = folder.Path("stats.safetensors");
  testing_support::WriteFile(path, SafetensorsFile({{"a", source::Dtype::kF32, {3}, Floats({1, 2, 3})},
                                                    {"b", source::Dtype::kF32, {2, 2}, Floats({4, 1, 1, 5})}}));
  Result<std::shared_ptr<const arithmetic::Calibration>> calibration = arithmetic::Calibration::Open(path);
  ASSERT_TRUE(calibration.ok()) << calibration.error().message;
  EXPECT_EQ(*(*calibration)->Moments("a", 3), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(*(*calibration)->Moments("b", 2), (std::vector<float>{4, 5}));
  EXPECT_EQ(*(*calibration)->Hessian("b", 2), (std::vector<float>{4, 1, 1, 5}));
  EXPECT_FALSE((*calibration)->HasHessian("a"));
  EXPECT_FALSE((*calibration)->Knows("c"));
  EXPECT_THAT((*calibration)->Moments("a", 4).error().message, HasSubstr("'a' is about 3 columns, the weight has 4"));
}

TEST(Calibration, RefusesWhatIsNone) {
  TemporaryFolder folder;
  const std::string path = folder.Path("stats.safetensors");
  auto refusal = [&](const std::string& content) {
    testing_support::WriteFile(path, content);
    Result<std::shared_ptr<const arithmetic::Calibration>> calibration = arithmetic::Calibration::Open(path);
    if (!calibration) return calibration.error().message;
    Result<std::vector<float>> moments = (*calibration)->Moments("a", 2);
    if (!moments) return moments.error().message;
    Result<std::vector<float>> hessian = (*calibration)->Hessian("a", 2);
    return hessian ? std::string() : hessian.error().message;
  };
  EXPECT_THAT(refusal("nonsense"), HasSubstr("stats.safetensors: "));
  EXPECT_THAT(refusal(SafetensorsFile({{"a", source::Dtype::kF32, {2, 3}, std::string(24, 'x')}})),
              HasSubstr("tensor 'a'"));
  EXPECT_THAT(refusal(SafetensorsFile({{"a", source::Dtype::kI32, {2}, std::string(8, 'x')}})),
              HasSubstr("tensor 'a'"));
  EXPECT_THAT(refusal(SafetensorsFile({{"a", source::Dtype::kF32, {2}, Floats({1, -1})}})), HasSubstr("negative"));
  EXPECT_THAT(refusal(SafetensorsFile({{"a", source::Dtype::kF32, {2}, Floats({1, INFINITY})}})),
              HasSubstr("not finite"));
  EXPECT_THAT(refusal(SafetensorsFile({{"a", source::Dtype::kF32, {2, 2}, Floats({1, NAN, 0, 1})}})),
              HasSubstr("not finite"));
}

TEST(CodeStore, GivesBackWhatWasWritten) {
  Result<std::shared_ptr<arithmetic::CodeStore>> store = arithmetic::CodeStore::Create(10);
  ASSERT_TRUE(store.ok());
  ASSERT_TRUE((*store)->Write(4, std::vector<uint8_t>{1, 2, 3}).ok());
  std::vector<uint8_t> back(5);
  ASSERT_TRUE((*store)->ReadAt(3, back).ok());
  EXPECT_EQ(back, (std::vector<uint8_t>{0, 1, 2, 3, 0}));
  EXPECT_FALSE((*store)->ReadAt(6, back).ok());
}

// 128 x 128 weights of BF16 on a bell curve.
tree::OutputTensor BellMatrix(const std::string& name, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<uint32_t> codes(128 * 128);
  for (uint32_t& code : codes) code = std::bit_cast<uint32_t>(normal(random)) >> 16;
  return reference::MatrixOf(name, source::Dtype::kBf16, {128, 128}, codes);
}

// A model of two layers whose inputs are of very different sizes, with statistics of the kind asked for.
class CalibratedPlan : public testing::Test {
 protected:
  void SetUp() override {
    small_ = BellMatrix("small.q_proj.weight", 1);
    large_ = BellMatrix("large.q_proj.weight", 2);
    std::vector<float> hessian = CorrelatedHessian(128, 5);
    std::vector<float> moments(128);
    for (size_t j = 0; j < 128; ++j) moments[j] = hessian[j * 129];
    std::vector<float> large_hessian = hessian, large_moments = moments;
    for (float& value : large_hessian) value *= 10'000;
    for (float& value : large_moments) value *= 10'000;
    testing_support::WriteFile(folder_.Path("moments.safetensors"),
                               SafetensorsFile({{small_.name, source::Dtype::kF32, {128}, Floats(moments)},
                                                {large_.name, source::Dtype::kF32, {128}, Floats(large_moments)}}));
    testing_support::WriteFile(
        folder_.Path("hessians.safetensors"),
        SafetensorsFile({{small_.name, source::Dtype::kF32, {128, 128}, Floats(hessian)},
                         {large_.name, source::Dtype::kF32, {128, 128}, Floats(large_hessian)}}));
  }

  Plan MustPlan(const std::string& statistics, size_t threads = 2) {
    Options options;
    options.scheme = Scheme::kRate;
    options.bits_per_weight = 4;
    if (!statistics.empty()) options.calibration = *arithmetic::Calibration::Open(folder_.Path(statistics));
    ThreadPool pool(threads);
    Result<Plan> plan = PlanQuantization(options, std::vector{small_, large_}, pool);
    EXPECT_TRUE(plan.ok()) << plan.error().message;
    return std::move(*plan);
  }

  static double TotalOutputNoise(const Plan& plan) {
    double noise = 0;
    for (const forms::TensorPlan& tensor : plan.tensors) noise += tensor.outputs.front().output_error->noise_energy;
    return noise;
  }

  TemporaryFolder folder_;
  tree::OutputTensor small_, large_;
};

TEST_F(CalibratedPlan, GivesBitsToLayersOfLargeInputs) {
  auto sqnr = [](const Plan& plan, size_t i) { return plan.tensors[i].outputs.front().error->SqnrDb(); };
  const Plan plain = MustPlan("");
  const Plan calibrated = MustPlan("moments.safetensors");
  EXPECT_FALSE(plain.tensors[0].outputs.front().output_error.has_value());
  EXPECT_NEAR(sqnr(plain, 0), sqnr(plain, 1), 1);
  EXPECT_GT(sqnr(calibrated, 1), sqnr(calibrated, 0) + 6);
}

TEST_F(CalibratedPlan, TrellisesGoWithMomentsButNotWithHessians) {
  Options options;
  options.scheme = Scheme::kRate;
  options.trellis = true;
  options.calibration = *arithmetic::Calibration::Open(folder_.Path("moments.safetensors"));
  ThreadPool pool(2);
  const Result<Plan> moments = PlanQuantization(options, std::vector{small_, large_}, pool);
  ASSERT_TRUE(moments.ok()) << moments.error().message;
  EXPECT_LT(TotalOutputNoise(*moments), 0.85 * TotalOutputNoise(MustPlan("moments.safetensors")));
  options.calibration = *arithmetic::Calibration::Open(folder_.Path("hessians.safetensors"));
  const Result<Plan> hessians = PlanQuantization(options, std::vector{small_, large_}, pool);
  ASSERT_FALSE(hessians.ok());
  EXPECT_THAT(hessians.error().message, HasSubstr("calibrate with --moments"));
}

TEST_F(CalibratedPlan, RoundsWithFeedbackWhereHessiansAreKnown) {
  const Plan moments = MustPlan("moments.safetensors");
  const Plan hessians = MustPlan("hessians.safetensors");
  EXPECT_TRUE(hessians.warnings.empty());
  EXPECT_LT(TotalOutputNoise(hessians), 0.6 * TotalOutputNoise(moments));
  // The figures are about the bytes that readers see.
  const tree::OutputTensor& codes = hessians.tensors[1].outputs.front();
  EXPECT_EQ(reference::Dense(hessians.tensors[1].outputs, *hessians.tensors[1].form).size(), 128u * 128);
  EXPECT_NE(reference::ReadAll(codes), reference::ReadAll(moments.tensors[1].outputs.front()));
}

TEST_F(CalibratedPlan, IsTheSameForAnyNumberOfThreads) {
  const Plan one = MustPlan("hessians.safetensors", 1);
  const Plan many = MustPlan("hessians.safetensors", 4);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(reference::ReadAll(one.tensors[i].outputs[0]), reference::ReadAll(many.tensors[i].outputs[0]));
    EXPECT_EQ(reference::ReadAll(one.tensors[i].outputs[1]), reference::ReadAll(many.tensors[i].outputs[1]));
  }
}

TEST_F(CalibratedPlan, WarnsOfLayersItDoesNotKnow) {
  small_.name = small_.belongs_to = "other.q_proj.weight";
  const Plan plan = MustPlan("moments.safetensors");
  EXPECT_THAT(plan.warnings, testing::ElementsAre(HasSubstr("other.q_proj.weight: not in the calibration")));
}

TEST_F(CalibratedPlan, RefusesStatisticsOfAnotherModel) {
  small_.name = "other.q_proj.weight";
  large_.name = "another.q_proj.weight";
  Options options;
  options.scheme = Scheme::kRate;
  options.calibration = *arithmetic::Calibration::Open(folder_.Path("moments.safetensors"));
  ThreadPool pool(1);
  Result<Plan> plan = PlanQuantization(options, std::vector{small_, large_}, pool);
  ASSERT_FALSE(plan.ok());
  EXPECT_THAT(plan.error().message, HasSubstr("knows none of the tensors"));
}

}  // namespace
}  // namespace entrofs::packer::quantize
