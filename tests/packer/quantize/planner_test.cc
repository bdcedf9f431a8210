#include "packer/quantize/planner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/packer/quantize/reference.h"

namespace entrofs::packer::quantize {
namespace {

using reference::Dense;
using reference::Floats;
using reference::MatrixOf;
using reference::QuantizedDense;
using reference::RandomMatrix;
using reference::ReadAll;

Plan MustPlan(const Options& options, const std::vector<tree::OutputTensor>& tensors, size_t thread_count = 2) {
  ThreadPool pool(thread_count);
  Result<Plan> plan = PlanQuantization(options, tensors, pool);
  EXPECT_TRUE(plan.ok()) << (plan.ok() ? "" : plan.error().message);
  return plan.ok() ? std::move(*plan) : Plan{};
}

struct Case {
  Options options;
  source::Dtype dtype;
};

std::vector<Case> AllCases() {
  std::vector<Options> schemes;
  for (Scheme scheme : {Scheme::kUint8, Scheme::kUint4, Scheme::kInt8Tensor, Scheme::kInt8Channel}) {
    schemes.push_back({scheme, {}, {}, 128, false});
  }
  for (uint32_t group_size : {32u, 64u, 128u}) {
    for (bool symmetric : {false, true}) schemes.push_back({Scheme::kUint4Group, {}, {}, group_size, symmetric});
  }
  std::vector<Case> cases;
  for (const Options& options : schemes) {
    for (source::Dtype dtype : {source::Dtype::kBf16, source::Dtype::kF16, source::Dtype::kF32})
      cases.push_back({options, dtype});
  }
  return cases;
}

std::string CaseName(const testing::TestParamInfo<Case>& tested) {
  const Options& options = tested.param.options;
  std::string name(Name(options.scheme));
  std::replace(name.begin(), name.end(), '-', '_');
  if (options.scheme == Scheme::kUint4Group) {
    name += "_g" + std::to_string(options.group_size) + (options.symmetric ? "_symmetric" : "");
  }
  return name + "_" + std::string(Name(tested.param.dtype));
}

class EveryScheme : public testing::TestWithParam<Case> {
 protected:
  // Calls `check(input, plan)` for matrices of odd and even shapes, with values of one sign and of both.
  template <typename Check>
  void ForEveryMatrix(const Check& check) {
    for (auto [rows, columns] : std::vector<std::pair<uint64_t, uint64_t>>{
             {172, 64}, {64, 172}, {8, 128}, {5, 384}, {1, 256}, {33, 7}, {3, 1}, {96, 512}}) {
      for (int sign : {-1, 0, 1}) {
        SCOPED_TRACE(std::to_string(rows) + "x" + std::to_string(columns) + " sign " + std::to_string(sign));
        tree::OutputTensor input = RandomMatrix("m.q_proj.weight", GetParam().dtype, rows, columns, sign, 7);
        Plan plan = MustPlan(GetParam().options, {input});
        ASSERT_TRUE(plan.tensors[0].form.has_value());
        check(input, plan);
      }
    }
  }
};

TEST_P(EveryScheme, BytesAreCountedWhereEachIsACode) {
  ForEveryMatrix([&](const tree::OutputTensor&, const Plan& plan) {
    const tree::OutputTensor& codes = plan.tensors[0].outputs.front();
    ASSERT_EQ(codes.byte_counts != nullptr, plan.tensors[0].form->bits == 8);
    if (!codes.byte_counts) return;
    codec::Histogram counts{};
    codec::CountBytes(ReadAll(codes), counts);
    EXPECT_EQ(*codes.byte_counts, counts);
  });
}

TEST_P(EveryScheme, ReaderReconstructsTheIndependentDenseValues) {
  ForEveryMatrix([&](const tree::OutputTensor& input, const Plan& plan) {
    std::vector<double> weights = Floats(input);
    std::vector<double> expected = QuantizedDense(weights, input.shape[1], input.dtype, GetParam().options);
    std::vector<double> dense = Dense(plan.tensors[0].outputs, *plan.tensors[0].form);
    ASSERT_EQ(dense.size(), expected.size());
    for (size_t i = 0; i < dense.size(); ++i) {
      ASSERT_EQ(dense[i], expected[i]) << i;
      ASSERT_TRUE(weights[i] != 0 || dense[i] == 0) << i;
    }
  });
}

TEST_P(EveryScheme, ErrorFiguresAreThoseOfTheDenseValues) {
  ForEveryMatrix([&](const tree::OutputTensor& input, const Plan& plan) {
    std::vector<double> weights = Floats(input);
    std::vector<double> dense = Dense(plan.tensors[0].outputs, *plan.tensors[0].form);
    double signal = 0, noise = 0;
    for (size_t i = 0; i < dense.size(); ++i) {
      signal += weights[i] * weights[i];
      noise += (weights[i] - dense[i]) * (weights[i] - dense[i]);
    }
    const tree::QuantizationError& error = plan.tensors[0].outputs[0].error.value();
    EXPECT_NEAR(error.signal_energy, signal, 1e-9 * signal);
    EXPECT_NEAR(error.noise_energy, noise, 1e-9 * signal);
  });
}

TEST_P(EveryScheme, AnyRangeOfAnyOutputReadsTheSameBytes) {
  std::mt19937 random(1);
  ForEveryMatrix([&](const tree::OutputTensor&, const Plan& plan) {
    for (const tree::OutputTensor& output : plan.tensors[0].outputs) {
      std::vector<uint8_t> whole = ReadAll(output);
      for (int round = 0; round < 20; ++round) {
        size_t offset = random() % whole.size();
        std::vector<uint8_t> part(1 + random() % (whole.size() - offset));
        ASSERT_TRUE(output.bytes->ReadAt(offset, part).ok());
        ASSERT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<ptrdiff_t>(offset)))
            << output.name << " " << offset << " " << part.size();
      }
      std::vector<uint8_t> over(2);
      EXPECT_FALSE(output.bytes->ReadAt(whole.size() - 1, over).ok());
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Quantize, EveryScheme, testing::ValuesIn(AllCases()), CaseName);

TEST(Quantize, SameResultForEveryThreadCount) {
  tree::OutputTensor input = RandomMatrix("m.q_proj.weight", source::Dtype::kBf16, 1100, 1024, 0, 3);
  for (Scheme scheme : {Scheme::kUint8, Scheme::kInt8Channel, Scheme::kUint4Group}) {
    Plan one = MustPlan({scheme, {}, {}, 128, false}, {input}, 1);
    Plan four = MustPlan({scheme, {}, {}, 128, false}, {input}, 4);
    EXPECT_EQ(one.error.noise_energy, four.error.noise_energy);
    EXPECT_EQ(one.error.signal_energy, four.error.signal_energy);
    for (size_t i = 0; i < one.tensors[0].outputs.size(); ++i) {
      EXPECT_EQ(ReadAll(one.tensors[0].outputs[i]), ReadAll(four.tensors[0].outputs[i]));
    }
  }
}

TEST(Quantize, LeavesTensorsWithNanOrInfinityAndNamesThem) {
  for (uint32_t bad : {0x7f80u, 0xff80u, 0x7fc0u, 0xff81u}) {
    std::vector<uint32_t> codes(64 * 40, 0x3d80);
    codes[777] = bad;
    tree::OutputTensor input = MatrixOf("m.k_proj.weight", source::Dtype::kBf16, {64, 40}, codes);
    Plan plan = MustPlan({}, {input, RandomMatrix("m.q_proj.weight", source::Dtype::kBf16, 8, 8, 0, 1)});
    ASSERT_EQ(plan.warnings.size(), 1u);
    EXPECT_EQ(plan.warnings[0], "m.k_proj.weight: has NaN or infinite values, left as it is");
    EXPECT_FALSE(plan.tensors[0].form.has_value());
    EXPECT_EQ(plan.tensors[0].outputs[0].name, "m.k_proj.weight");
    EXPECT_TRUE(plan.tensors[1].form.has_value());
  }
}

TEST(Quantize, LeavesMatricesWhoseCodesWouldOverflowF16) {
  Plan plan = MustPlan({}, {MatrixOf("m.k_proj.weight", source::Dtype::kF16, {1, 2}, {0x7bff, 0xfbff})});
  EXPECT_EQ(plan.warnings.size(), 1u);
  EXPECT_FALSE(plan.tensors[0].form.has_value());
}

TEST(Quantize, ZerosStayZeros) {
  for (Scheme scheme :
       {Scheme::kUint8, Scheme::kUint4, Scheme::kInt8Tensor, Scheme::kInt8Channel, Scheme::kUint4Group}) {
    Plan plan =
        MustPlan({scheme, {}, {}, 128, false},
                 {MatrixOf("m.k_proj.weight", source::Dtype::kF16, {3, 128}, std::vector<uint32_t>(384, 0x8000))});
    EXPECT_EQ(Dense(plan.tensors[0].outputs, *plan.tensors[0].form), std::vector<double>(384, 0.0));
    EXPECT_EQ(plan.error.noise_energy, 0);
  }
}

TEST(Quantize, ShapesAreThoseOfCompressedTensors) {
  using Shape = std::vector<uint64_t>;
  Plan plan = MustPlan({Scheme::kUint4, {}, {}, 128, false},
                       {RandomMatrix("a.q_proj.weight", source::Dtype::kBf16, 20, 256, 0, 1),
                        RandomMatrix("b.q_proj.weight", source::Dtype::kBf16, 20, 172, 0, 1)});
  const auto& grouped = plan.tensors[0].outputs;
  EXPECT_EQ(grouped[0].name, "a.q_proj.weight_packed");
  EXPECT_EQ(grouped[0].shape, (Shape{20, 32}));
  EXPECT_EQ(grouped[0].weight_count, 20u * 256);
  EXPECT_EQ(grouped[1].name, "a.q_proj.weight_scale");
  EXPECT_EQ(grouped[1].shape, (Shape{20, 2}));
  EXPECT_EQ(grouped[2].shape, (Shape{2}));
  EXPECT_EQ(grouped[3].name, "a.q_proj.weight_zero_point");
  EXPECT_EQ(grouped[3].shape, (Shape{3, 2}));
  const auto& by_channel = plan.tensors[1].outputs;
  EXPECT_EQ(by_channel[0].shape, (Shape{20, 22}));
  EXPECT_EQ(by_channel[1].shape, (Shape{20, 1}));
  EXPECT_EQ(by_channel[3].shape, (Shape{3, 1}));
}

TEST(Quantize, RefusesASecondTensorOfOneName) {
  ThreadPool pool(1);
  std::vector<tree::OutputTensor> tensors = {RandomMatrix("a.weight", source::Dtype::kBf16, 4, 4, 0, 1),
                                             MatrixOf("a.weight_scale", source::Dtype::kBf16, {1}, {0})};
  Result<Plan> plan = PlanQuantization({}, tensors, pool);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code, ErrorCode::kInvalidArgument);
}

TEST(Quantize, RefusesOtherGroupSizes) {
  ThreadPool pool(1);
  EXPECT_FALSE(PlanQuantization({Scheme::kUint4Group, {}, {}, 48, false}, {}, pool).ok());
}

TEST(Quantize, SchemesAreFoundByName) {
  for (size_t i = 0; i < kSchemeCount; ++i)
    EXPECT_EQ(ParseScheme(Name(static_cast<Scheme>(i))), static_cast<Scheme>(i));
  EXPECT_FALSE(ParseScheme("int9").has_value());
}

// A file of which a part cannot be read.
class BrokenFile : public RandomAccessFile {
 public:
  Status ReadAt(uint64_t offset, MutableByteSpan out) const override {
    if (offset + out.size() > 3'000'000) return Error{ErrorCode::kIo, "Input/output error"};
    std::fill(out.begin(), out.end(), uint8_t{0x3d});
    return OkStatus();
  }
  uint64_t size() const override { return 4'000'000; }
};

TEST(Quantize, ReadErrorsNameTheTensor) {
  tree::OutputTensor tensor = MatrixOf("m.k_proj.weight", source::Dtype::kBf16, {2000, 1000}, {});
  tensor.bytes = std::make_shared<BrokenFile>();
  ThreadPool pool(2);
  Result<Plan> plan = PlanQuantization({}, std::vector<tree::OutputTensor>{tensor}, pool);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().message, "m.k_proj.weight: Input/output error");
}

}  // namespace
}  // namespace entrofs::packer::quantize
