#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <random>

#include "base/portable_math.h"
#include "codec/codec.h"
#include "packer/quantize/arithmetic/rate.h"
#include "packer/quantize/planner.h"
#include "packer/source/safetensors.h"
#include "tests/packer/quantize/reference.h"

namespace entrofs::packer::quantize {
namespace {

using reference::Dense;
using reference::Floats;
using reference::MatrixOf;
using reference::RandomMatrix;
using reference::ReadAll;

Options Rate(double bits) {
  Options options;
  options.scheme = Scheme::kRate;
  options.bits_per_weight = bits;
  return options;
}

Options RateOnTrellis(double bits) {
  Options options = Rate(bits);
  options.trellis = true;
  options.segment_bytes = codec::kMinSegmentBytes;
  return options;
}

Plan MustPlan(const Options& options, const std::vector<tree::OutputTensor>& tensors, size_t thread_count = 2) {
  ThreadPool pool(thread_count);
  Result<Plan> plan = PlanQuantization(options, tensors, pool);
  EXPECT_TRUE(plan.ok()) << (plan.ok() ? "" : plan.error().message);
  return plan.ok() ? std::move(*plan) : Plan{};
}

// Bell-shaped weights, each matrix with a spread of its own.
std::vector<tree::OutputTensor> Model(source::Dtype dtype, uint64_t rows, uint64_t columns) {
  std::vector<tree::OutputTensor> tensors;
  for (uint32_t number = 0; number < 4; ++number) {
    std::mt19937 random(number);
    std::normal_distribution<float> normal(0, 0.01f * static_cast<float>(1 + number));
    std::vector<uint32_t> codes;
    for (uint64_t i = 0; i < rows * columns; ++i) {
      uint32_t bits = std::bit_cast<uint32_t>(normal(random));
      codes.push_back(dtype == source::Dtype::kBf16 ? bits >> 16 : bits);
    }
    tensors.push_back(MatrixOf("layers." + std::to_string(number) + ".q_proj.weight", dtype, {rows, columns}, codes));
  }
  return tensors;
}

// Bits in an archive: segments of 256 KiB with their checksums and places, and a table per plane.
double ArchiveBits(const std::vector<tree::OutputTensor>& outputs) {
  double bytes = 0;
  for (const tree::OutputTensor& output : outputs) {
    codec::Layout layout = output.dtype == source::Dtype::kBf16 ? codec::Layout{2, true} : codec::Layout{};
    if (output.follows_trellis) layout = {.trellis = true};
    const size_t segment_bytes = output.follows_trellis ? codec::kMinSegmentBytes : codec::kDefaultSegmentBytes;
    std::vector<uint8_t> plain = ReadAll(output);
    std::vector<codec::Histogram> histograms(layout.plane_count());
    for (size_t at = 0; at < plain.size(); at += segment_bytes) {
      codec::CountPlanes(layout, ByteSpan(plain).subspan(at, std::min(segment_bytes, plain.size() - at)), histograms);
    }
    std::vector<codec::PlaneEncoder> planes;
    for (const codec::Histogram& histogram : histograms) {
      planes.push_back({codec::CodecKind::kTans, codec::BuildTable(codec::CodecKind::kTans, histogram)});
      bytes += static_cast<double>(codec::SerializedTable(*planes.back().table).size());
    }
    codec::Scratch scratch;
    std::vector<uint8_t> coded;
    for (size_t at = 0; at < plain.size(); at += segment_bytes) {
      size_t size = std::min(segment_bytes, plain.size() - at);
      codec::EncodeSegment(layout, planes, ByteSpan(plain).subspan(at, size), scratch, coded);
      bytes += 12;
    }
    bytes += static_cast<double>(coded.size());
  }
  return 8 * bytes;
}

double ArchiveBitsPerWeight(const Plan& plan) {
  double bits = 0, weights = 0;
  for (const forms::TensorPlan& tensor : plan.tensors) {
    if (!tensor.form) continue;
    bits += ArchiveBits(tensor.outputs);
    weights += static_cast<double>(tensor.outputs[0].weight_count);
  }
  return bits / weights;
}

TEST(Rate, ArchivesMeetTheBitsAskedForWithinHalfAPercent) {
  std::vector<tree::OutputTensor> model = Model(source::Dtype::kBf16, 1024, 1024);
  for (double bits : {1.0, 2.0, 3.0, 3.5, 4.0, 5.0}) {
    Plan plan = MustPlan(Rate(bits), model);
    EXPECT_TRUE(plan.warnings.empty());
    EXPECT_NEAR(ArchiveBitsPerWeight(plan), bits, 0.005 * bits);
  }
}

TEST(Rate, TrellisesMeetTheBitsAskedForWithLessError) {
  std::vector<tree::OutputTensor> model = Model(source::Dtype::kBf16, 400, 512);
  for (double bits : {2.0, 3.5, 4.5}) {
    const Plan plain = MustPlan(Rate(bits), model), plan = MustPlan(RateOnTrellis(bits), model);
    EXPECT_TRUE(plan.warnings.empty());
    EXPECT_NEAR(ArchiveBitsPerWeight(plan), bits, 0.005 * bits);
    EXPECT_GT(plan.error.SqnrDb(), plain.error.SqnrDb() + 1) << bits;
    for (const forms::TensorPlan& tensor : plan.tensors) {
      // What was counted is what readers will find.
      const tree::OutputTensor& codes = tensor.outputs.front();
      ASSERT_TRUE(codes.follows_trellis);
      const std::vector<uint8_t> plain_bytes = ReadAll(codes);
      codec::Histogram indices{};
      for (size_t at = 0; at < plain_bytes.size(); at += codec::kMinSegmentBytes) {
        const size_t size = std::min(codec::kMinSegmentBytes, plain_bytes.size() - at);
        codec::CountPlanes({.trellis = true}, ByteSpan(plain_bytes).subspan(at, size), {&indices, 1});
      }
      EXPECT_EQ(*codes.byte_counts, indices);
      EXPECT_EQ(std::accumulate(indices.begin() + 128, indices.end(), uint64_t{0}), 0u);
    }
  }
}

TEST(Rate, TrellisesAreTheSameForEveryThreadCount) {
  std::vector<tree::OutputTensor> model = Model(source::Dtype::kBf16, 300, 600);
  const Plan one = MustPlan(RateOnTrellis(3), model, 1), four = MustPlan(RateOnTrellis(3), model, 4);
  EXPECT_EQ(one.error.noise_energy, four.error.noise_energy);
  for (size_t t = 0; t < model.size(); ++t) {
    for (size_t i = 0; i < one.tensors[t].outputs.size(); ++i) {
      EXPECT_EQ(ReadAll(one.tensors[t].outputs[i]), ReadAll(four.tensors[t].outputs[i]));
    }
  }
}

TEST(Rate, TrellisesKeepOutliersNear) {
  std::vector<tree::OutputTensor> model = Model(source::Dtype::kF32, 64, 256);
  std::vector<uint8_t> bytes = ReadAll(model[0]);
  StoreLe(bytes.data() + 4 * (5 * 256 + 7), 100.0f);
  model[0].bytes = tree::BytesInMemory(bytes);
  const Plan plan = MustPlan(RateOnTrellis(4), model);
  const std::vector<double> dense = Dense(plan.tensors[0].outputs, *plan.tensors[0].form);
  EXPECT_NEAR(dense[5 * 256 + 7], 100, 2.5);
  EXPECT_NEAR(dense[4 * 256 + 7], Floats(model[0])[4 * 256 + 7], 0.01);
}

TEST(Rate, RowsThatArePaddedDoWithoutATrellis) {
  const Plan plan = MustPlan(RateOnTrellis(3), Model(source::Dtype::kBf16, 64, 66));
  for (const forms::TensorPlan& tensor : plan.tensors) EXPECT_FALSE(tensor.outputs.front().follows_trellis);
  EXPECT_GT(plan.error.SqnrDb(), 14);
}

TEST(Rate, RefusesTrellisesWhereTheyDoNotServe) {
  ThreadPool pool(1);
  auto message = [&](const Options& options) {
    Result<Plan> plan = PlanQuantization(options, Model(source::Dtype::kBf16, 8, 8), pool);
    return plan ? std::string() : plan.error().message;
  };
  for (double bits : {0.9, 5.1}) EXPECT_NE(message(RateOnTrellis(bits)).find("from 1 to 5"), std::string::npos);
  Options options = RateOnTrellis(3);
  options.scheme = Scheme::kUint8;
  EXPECT_NE(message(options).find("not for other schemes"), std::string::npos);
  options = RateOnTrellis(3);
  options.runtime = Runtime::kGptq;
  EXPECT_NE(message(options).find("gptq"), std::string::npos);
  options = RateOnTrellis(3);
  options.archive_bytes = 1 << 20;
  EXPECT_NE(message(options).find("from 1 to 5"), std::string::npos);
}

TEST(Rate, ReaderReconstructsStepsOfOneScalePerRow) {
  for (source::Dtype dtype : {source::Dtype::kBf16, source::Dtype::kF32}) {
    for (const tree::OutputTensor& input : Model(dtype, 172, 68)) {
      Plan plan = MustPlan(Rate(3), {input});
      std::vector<double> dense = Dense(plan.tensors[0].outputs, *plan.tensors[0].form);
      std::vector<double> weights = Floats(input);
      std::vector<double> scales;
      double signal = 0, noise = 0;
      for (const tree::OutputTensor& output : plan.tensors[0].outputs) {
        if (output.name.ends_with("_scale")) scales = Floats(output);
      }
      for (size_t i = 0; i < weights.size(); ++i) {
        double code = std::nearbyint(dense[i] / scales[i / 68]);
        ASSERT_EQ(dense[i], reference::Round(dtype, code * scales[i / 68]));
        // Within half a step of the weight, but for the shrinking that brings values to where the weights are.
        ASSERT_NEAR(dense[i], weights[i], scales[i / 68] * (0.55 + 0.1 * std::abs(code)));
        signal += weights[i] * weights[i];
        noise += (weights[i] - dense[i]) * (weights[i] - dense[i]);
      }
      const tree::QuantizationError& error = plan.tensors[0].outputs[0].error.value();
      EXPECT_NEAR(error.signal_energy, signal, 1e-9 * signal);
      EXPECT_NEAR(error.noise_energy, noise, 1e-9 * signal);
      EXPECT_GT(error.SqnrDb(), 14);
    }
  }
}

TEST(Rate, RowsWithOutliersGetLargerStepsInsteadOfClamping) {
  std::vector<tree::OutputTensor> model = Model(source::Dtype::kF32, 64, 256);
  std::vector<uint8_t> bytes = ReadAll(model[0]);
  StoreLe(bytes.data() + 4 * (5 * 256 + 7), 100.0f);
  model[0].bytes = tree::BytesInMemory(bytes);
  Plan plan = MustPlan(Rate(4), model);
  std::vector<double> dense = Dense(plan.tensors[0].outputs, *plan.tensors[0].form);
  EXPECT_NEAR(dense[5 * 256 + 7], 100, 1e-3);
  EXPECT_NEAR(dense[4 * 256 + 7], Floats(model[0])[4 * 256 + 7], 0.01);
}

TEST(Rate, SameResultForEveryThreadCount) {
  std::vector<tree::OutputTensor> model = Model(source::Dtype::kBf16, 600, 1000);
  Plan one = MustPlan(Rate(2.5), model, 1);
  Plan four = MustPlan(Rate(2.5), model, 4);
  EXPECT_EQ(one.error.noise_energy, four.error.noise_energy);
  for (size_t t = 0; t < model.size(); ++t) {
    for (size_t i = 0; i < one.tensors[t].outputs.size(); ++i) {
      EXPECT_EQ(ReadAll(one.tensors[t].outputs[i]), ReadAll(four.tensors[t].outputs[i]));
    }
  }
}

TEST(Rate, WarnsOfRatesThatEightBitCodesCannotReach) {
  Plan plan = MustPlan(Rate(8), Model(source::Dtype::kBf16, 300, 300));
  ASSERT_EQ(plan.warnings.size(), 1u);
  EXPECT_NE(plan.warnings[0].find("not 8.000"), std::string::npos) << plan.warnings[0];
  EXPECT_GT(plan.error.SqnrDb(), 35);
}

TEST(Rate, SizesLeaveRoomForWhatIsNotQuantized) {
  std::vector<tree::OutputTensor> model = Model(source::Dtype::kBf16, 512, 1024);
  model[0].name = model[0].belongs_to = "lm_head.weight";
  ThreadPool pool(2);
  Options options = Rate(4);
  options.other_bytes = 100'000;
  options.archive_bytes = 1'600'000;
  Plan plan = MustPlan(options, model);
  EXPECT_TRUE(plan.warnings.empty());
  double bytes = options.other_bytes;
  for (const forms::TensorPlan& tensor : plan.tensors) bytes += ArchiveBits(tensor.outputs) / 8;
  EXPECT_NEAR(bytes, 1.6e6, 0.005 * 1.6e6);

  options.archive_bytes = 200'000;
  Result<Plan> too_small = PlanQuantization(options, model, pool);
  ASSERT_FALSE(too_small.ok());
  EXPECT_EQ(too_small.error().code, ErrorCode::kInvalidArgument);
}

TEST(Rate, RefusesRatesOutOfRange) {
  ThreadPool pool(1);
  for (double bits : {0.0, -1.0, 8.1, std::nan("")}) EXPECT_FALSE(PlanQuantization(Rate(bits), {}, pool).ok());
}

TEST(Rate, TrellisesOfZerosAreZeros) {
  const tree::OutputTensor zeros =
      MatrixOf("a.q_proj.weight", source::Dtype::kBf16, {8, 8}, std::vector<uint32_t>(64, 0));
  const Plan plan = MustPlan(RateOnTrellis(3), {zeros});
  EXPECT_EQ(plan.error.noise_energy, 0);
  EXPECT_EQ(Dense(plan.tensors[0].outputs, *plan.tensors[0].form), std::vector<double>(64, 0.0));
}

TEST(Rate, MatricesOfZerosAndEmptyModelsAreFine) {
  Plan zeros =
      MustPlan(Rate(3), {MatrixOf("a.q_proj.weight", source::Dtype::kBf16, {8, 8}, std::vector<uint32_t>(64, 0))});
  EXPECT_EQ(Dense(zeros.tensors[0].outputs, *zeros.tensors[0].form), std::vector<double>(64, 0.0));
  EXPECT_TRUE(MustPlan(Rate(3), {}).tensors.empty());
}

TEST(Rate, StepsAreFoundOnAnyFallingCurve) {
  auto curve = [](double step) { return 100 * std::max(0.0, 4 - std::log2(step)); };
  EXPECT_NEAR(arithmetic::FindStep(curve, 300, 1e-6, 1e6), 2, 1e-3);
  EXPECT_EQ(arithmetic::FindStep(curve, 1e9, 1e-6, 1e6), 1e-6);
  EXPECT_EQ(arithmetic::FindStep([](double) { return 5.0; }, 1, 1e-6, 1e6), 1e6);
}

TEST(Rate, PortableLogarithmAndPowerAreThoseOfTheLibrary) {
  std::mt19937_64 random(4);
  for (int i = 0; i < 100'000; ++i) {
    double x =
        std::ldexp(1 + std::ldexp(static_cast<double>(random() >> 12), -52), static_cast<int>(random() % 400) - 200);
    ASSERT_NEAR(Log2(x), std::log2(x), 1e-13 * std::max(1.0, std::abs(std::log2(x)))) << x;
    ASSERT_NEAR(Exp2(Log2(x)) / x, 1, 1e-12) << x;
  }
  EXPECT_EQ(Log2(1), 0);
  EXPECT_EQ(Log2(0.125), -3);
  EXPECT_EQ(Exp2(5), 32);
}

TEST(Rate, RowFactorsGrowWithTheSquareRootOfTheSpread) {
  EXPECT_EQ(arithmetic::RowFactor(1), 1);
  EXPECT_EQ(arithmetic::RowFactor(16), 2);
  EXPECT_EQ(arithmetic::RowFactor(0x1p-24), 0x1p-6);
  EXPECT_EQ(arithmetic::RowFactor(0), 1);
  for (double mean_square : {1e-9, 3e-4, 0.7, 5.0, 1234.5}) {
    EXPECT_NEAR(arithmetic::RowFactor(mean_square) / std::pow(mean_square, 0.25), 1, 0.1) << mean_square;
  }
}

TEST(Rate, GainBringsCoarseStepsToTheWeights) {
  arithmetic::ValueHistogram::Counter counter;
  const float weights[4] = {0.6f, -0.6f, 0.6f, 0.1f};
  counter.Add(weights, 4);
  arithmetic::StepOutcome outcome = arithmetic::TryStep(counter.Finish(), 1);
  EXPECT_EQ(outcome.codes[129], 2u);
  EXPECT_EQ(outcome.codes[128], 1u);
  EXPECT_EQ(outcome.codes[127], 1u);
  EXPECT_NEAR(outcome.gain, 1 - 2.0 / 3 * (1 - 0.6), 2e-3);
}

class RealModel : public testing::Test {
 protected:
  void SetUp() override {
    const char* data = std::getenv("ENTROFS_DATA");
    std::string folder = data != nullptr ? data : std::string(ENTROFS_SOURCE_DIR) + "/../shared/data";
    std::string path = folder + "/gpt-neo-125m-attn/model.safetensors";
    if (!std::filesystem::exists(path))
      GTEST_SKIP() << path << " is not there: put the sample models into the folder that ENTROFS_DATA names";
    Result<std::unique_ptr<RandomAccessFile>> file = OpenForReading(path);
    ASSERT_TRUE(file.ok());
    file_ = std::move(*file);
    Result<source::SafetensorsHeader> header = source::ReadSafetensorsHeader(*file_);
    ASSERT_TRUE(header.ok());
    for (const source::TensorInfo& info : header->tensors) {
      tree::OutputTensor& tensor = tensors_.emplace_back();
      tensor.name = tensor.belongs_to = info.name;
      tensor.dtype = info.dtype;
      tensor.shape = info.shape;
      tensor.weight_count = info.element_count();
      tensor.bytes = tree::SliceOf(file_, info.offset_bytes, info.size_bytes);
    }
  }

  std::shared_ptr<const RandomAccessFile> file_;
  std::vector<tree::OutputTensor> tensors_;
};

TEST_F(RealModel, RateTargetsHoldTheirPromises) {
  for (auto [bits, least_db] : std::vector<std::pair<double, double>>{{3.5, 20.0}, {3.0, 17.0}, {2.0, 11.0}}) {
    Plan plan = MustPlan(Rate(bits), tensors_);
    EXPECT_NEAR(ArchiveBitsPerWeight(plan), bits, 0.005 * bits);
    EXPECT_GE(plan.error.SqnrDb(), least_db) << bits;
  }
}

TEST_F(RealModel, RateIsNeverBelowGroupsOf128AtTheirSize) {
  for (bool symmetric : {false, true}) {
    Options grouped;
    grouped.scheme = Scheme::kUint4Group;
    grouped.symmetric = symmetric;
    Plan plan = MustPlan(grouped, tensors_);
    Plan rate = MustPlan(Rate(ArchiveBitsPerWeight(plan)), tensors_);
    EXPECT_GT(rate.error.SqnrDb(), plan.error.SqnrDb());
    EXPECT_LE(ArchiveBitsPerWeight(rate), ArchiveBitsPerWeight(plan) * 1.005);
  }
}

TEST(Planner, ForetellsWhatARateWillTake) {
  ThreadPool pool(2);
  for (source::Dtype dtype : {source::Dtype::kBf16, source::Dtype::kF32}) {
    Result<Planner> planner = Planner::Survey(Rate(4), Model(dtype, 200, 130), pool);
    ASSERT_TRUE(planner.ok());
    for (double bits : {2.0, 3.5, 6.0}) {
      Result<Plan> foretold = planner->Make(bits, std::nullopt, Precision::kForetold, pool);
      Result<Plan> measured = planner->Make(bits, std::nullopt, Precision::kMeasured, pool);
      ASSERT_TRUE(foretold.ok() && measured.ok());
      for (size_t i = 0; i < foretold->tensors.size(); ++i) {
        const tree::OutputTensor& guess = foretold->tensors[i].outputs.front();
        const tree::OutputTensor& made = measured->tensors[i].outputs.front();
        const double entropy = codec::EntropyBits(*made.byte_counts);
        EXPECT_NEAR(codec::EntropyBits(*guess.byte_counts), entropy, 0.01 * entropy);
        codec::Histogram counts{};
        codec::CountBytes(ReadAll(made), counts);
        EXPECT_EQ(*made.byte_counts, counts);
      }
    }
  }
}

TEST(Planner, MakesTheSameOfASurveyAsOfAFreshOne) {
  ThreadPool pool(2);
  const std::vector<tree::OutputTensor> model = Model(source::Dtype::kBf16, 100, 64);
  Result<Planner> planner = Planner::Survey(Rate(4), model, pool);
  ASSERT_TRUE(planner.ok());
  ASSERT_TRUE(planner->Make(5, std::nullopt, Precision::kMeasured, pool).ok());
  Result<Plan> again = planner->Make(3, std::nullopt, Precision::kMeasured, pool);
  ASSERT_TRUE(again.ok());
  const Plan fresh = MustPlan(Rate(3), model);
  EXPECT_EQ(again->error.noise_energy, fresh.error.noise_energy);
  for (size_t i = 0; i < model.size(); ++i) {
    EXPECT_EQ(ReadAll(again->tensors[i].outputs[0]), ReadAll(fresh.tensors[i].outputs[0]));
  }
  EXPECT_EQ(planner->Make(0, std::nullopt, Precision::kMeasured, pool).error().code, ErrorCode::kInvalidArgument);
}

// At 1.2 dB more than without, as docs/quality.md has it.
TEST_F(RealModel, TrellisesGainADecibel) {
  std::erase_if(tensors_, [](const tree::OutputTensor& tensor) {
    return !tensor.name.ends_with("h.3.attn.attention.q_proj.weight");
  });
  ASSERT_EQ(tensors_.size(), 1u);
  const Plan plain = MustPlan(Rate(3.5), tensors_), plan = MustPlan(RateOnTrellis(3.5), tensors_);
  EXPECT_NEAR(ArchiveBitsPerWeight(plan), 3.5, 0.005 * 3.5);
  EXPECT_GT(plan.error.SqnrDb(), plain.error.SqnrDb() + 1.1);
}

}  // namespace
}  // namespace entrofs::packer::quantize
