#include "packer/analyze/survey.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

namespace entrofs::packer::analyze {
namespace {

tree::OutputTensor MatrixOf(uint64_t rows, const std::vector<float>& values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  tree::OutputTensor tensor;
  tensor.name = "w";
  tensor.dtype = source::Dtype::kF32;
  tensor.shape = {rows, values.size() / rows};
  tensor.bytes = tree::BytesInMemory(bytes);
  tensor.weight_count = values.size();
  return tensor;
}

Survey SurveyOf(uint64_t rows, const std::vector<float>& values) {
  ThreadPool pool(2);
  Result<Survey> survey = SurveyMatrix(MatrixOf(rows, values), pool);
  EXPECT_TRUE(survey.ok());
  return *survey;
}

TEST(SurveyMatrix, FindsMomentsAndRange) {
  const Survey survey = SurveyOf(2, {1, -1, 1, -3, 0, 0});
  EXPECT_DOUBLE_EQ(survey.energy, 12);
  EXPECT_DOUBLE_EQ(survey.rms, std::sqrt(2.0));
  EXPECT_DOUBLE_EQ(survey.kurtosis, (84.0 / 6) / 4);
  EXPECT_EQ(survey.lowest, -3);
  EXPECT_EQ(survey.highest, 1);
  EXPECT_EQ(survey.column_magnitudes, (std::vector<float>{3, 1, 1}));
}

TEST(SurveyMatrix, CountsEveryWeightOnce) {
  std::vector<float> values(1000, 0.5f);
  values[0] = 100;
  const Survey survey = SurveyOf(10, values);
  EXPECT_EQ(std::accumulate(survey.histogram.begin(), survey.histogram.end(), uint64_t{0}), 1000u);
  EXPECT_EQ(survey.histogram.back(), 1u);
}

TEST(SurveyMatrix, ToleratesNothingButZeros) {
  const Survey survey = SurveyOf(2, std::vector<float>(8, 0.0f));
  EXPECT_EQ(survey.rms, 0);
  EXPECT_EQ(survey.histogram[Survey::kBins / 2], 8u);
  EXPECT_TRUE(OutlierColumns(survey).empty());
}

TEST(OutlierColumns, AreThoseOfFarWeights) {
  std::vector<float> values(50 * 200, 1.0f);
  values[7] = -30;
  values[200 + 150] = 10;
  EXPECT_EQ(OutlierColumns(SurveyOf(50, values)), (std::vector<uint64_t>{7, 150}));
}

TEST(OutlierColumns, AreAtMostOneInAHundredTheLargestFirst) {
  std::vector<float> values(500 * 200, 1.0f);
  for (size_t column = 0; column < 50; ++column) values[column] = static_cast<float>(20 + column);
  EXPECT_EQ(OutlierColumns(SurveyOf(500, values)), (std::vector<uint64_t>{48, 49}));
}

}  // namespace
}  // namespace entrofs::packer::analyze
