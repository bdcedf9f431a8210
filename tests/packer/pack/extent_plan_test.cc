#include "packer/pack/extent_plan.h"

#include <gtest/gtest.h>

#include <random>

namespace entrofs::packer::pack {
namespace {

// Bytes around `center`, spread a little.
tree::OutputTensor Tensor(const std::string& name, source::Dtype dtype, size_t size, int center, uint32_t seed = 1) {
  std::mt19937 random(seed);
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(center + static_cast<int>(random() % 8));
  tree::OutputTensor tensor;
  tensor.name = name;
  tensor.dtype = dtype;
  tensor.shape = {8 * size / source::BitWidth(dtype)};
  tensor.weight_count = size;
  tensor.bytes = tree::BytesInMemory(std::move(bytes));
  return tensor;
}

std::vector<std::string> NamesOf(std::vector<tree::FilePart> parts, std::vector<PlannedExtent>* planned = nullptr) {
  tree::OutputFile file;
  file.parts = std::move(parts);
  ThreadPool pool(2);
  const std::vector<ExtentInput> inputs = CutIntoExtents(file);
  Result<std::vector<PlannedExtent>> result = PlanExtents(inputs, codec::kDefaultSegmentBytes, pool);
  EXPECT_TRUE(result.ok());
  std::vector<std::string> names;
  for (const PlannedExtent& input : *result) names.push_back(input.input.name);
  if (planned != nullptr) *planned = std::move(*result);
  return names;
}

TEST(PlanExtents, JoinsSmallNeighboursOfOneType) {
  EXPECT_EQ(NamesOf({tree::Literal{"header", tree::BytesInMemory({1, 2})}, Tensor("a", source::Dtype::kU8, 64, 1),
                     Tensor("b", source::Dtype::kU8, 128, 1, 2), Tensor("c", source::Dtype::kI8, 64, 1),
                     Tensor("big", source::Dtype::kI8, kSmallTensorBytes, 1), Tensor("d", source::Dtype::kI8, 64, 1)}),
            (std::vector<std::string>{"header", "a to b", "c", "big", "d"}));
}

TEST(PlanExtents, KeepsApartWhatIsSpreadOtherwise) {
  std::vector<tree::FilePart> parts;
  for (int i = 0; i < 3; ++i) {
    parts.push_back(Tensor("bias" + std::to_string(i), source::Dtype::kU8, 4096, 10));
    parts.push_back(Tensor("scale" + std::to_string(i), source::Dtype::kU8, 4096, 100));
  }
  EXPECT_EQ(NamesOf(parts), (std::vector<std::string>{"bias0", "scale0", "bias1", "scale1", "bias2", "scale2"}));
}

TEST(PlanExtents, DoesNotJoinScalesWithWeights) {
  tree::OutputTensor scale = Tensor("scale", source::Dtype::kU8, 64, 1);
  scale.weight_count = 0;
  EXPECT_EQ(NamesOf({Tensor("a", source::Dtype::kU8, 64, 1), scale}), (std::vector<std::string>{"a", "scale"}));
}

TEST(PlanExtents, MeasuresRunsAsWhatTheyHold) {
  std::vector<PlannedExtent> planned;
  NamesOf({Tensor("a", source::Dtype::kU8, 64, 1), Tensor("b", source::Dtype::kU8, 100, 1),
           tree::Literal{"tail", tree::BytesInMemory({1})},
           Tensor("large", source::Dtype::kU8, kMeasuredAheadBytes + 1, 1)},
          &planned);
  ASSERT_EQ(planned.size(), 3u);
  ASSERT_TRUE(planned[0].measurement);
  ThreadPool pool(1);
  Result<Measurement> whole = Measure(*planned[0].input.bytes, std::vector{codec::Layout{}}, pool);
  EXPECT_EQ(planned[0].measurement->layouts[0].planes, whole->layouts[0].planes);
  EXPECT_FALSE(planned[1].measurement);
  EXPECT_FALSE(planned[2].measurement);
}

TEST(MeasureAtOnce, AgreesWithMeasure) {
  ThreadPool pool(2);
  for (size_t size : {size_t{0}, size_t{1}, size_t{5000}, size_t{kMeasuredAtOnceBytes}}) {
    const tree::OutputTensor tensor = Tensor("a", source::Dtype::kU8, size, 3);
    const std::vector<codec::Layout> layouts = {{4, true}, {2, false}};
    Result<Measurement> at_once = MeasureAtOnce(*tensor.bytes, layouts, codec::kDefaultSegmentBytes);
    Result<Measurement> pooled = Measure(*tensor.bytes, layouts, pool);
    EXPECT_EQ(at_once->fingerprint, pooled->fingerprint);
    for (size_t i = 0; i < 2; ++i) EXPECT_EQ(at_once->layouts[i].planes, pooled->layouts[i].planes);
  }
}

}  // namespace
}  // namespace entrofs::packer::pack
