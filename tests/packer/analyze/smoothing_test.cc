#include "packer/analyze/smoothing.h"

#include <gtest/gtest.h>

#include <cmath>

#include "packer/analyze/analysis.h"
#include "packer/analyze/analysis_report.h"
#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::packer::analyze {
namespace {

using testing_support::TemporaryFolder;
using testing_support::WriteLlama;

tree::OutputTensor FloatMatrix(uint64_t rows, uint64_t columns) {
  std::vector<uint8_t> bytes(rows * columns * sizeof(float));
  for (uint64_t i = 0; i < rows * columns; ++i) {
    StoreLe(bytes.data() + 4 * i, std::bit_cast<uint32_t>(0.5f + static_cast<float>(i)));
  }
  tree::OutputTensor matrix;
  matrix.name = "m.weight";
  matrix.dtype = source::Dtype::kF32;
  matrix.shape = {rows, columns};
  matrix.bytes = tree::BytesInMemory(std::move(bytes));
  return matrix;
}

TEST(Smoothing, FactorsShareTheRangesOfInputsAndWeightsEvenly) {
  const std::vector<float> moments = {16, 1, 0, 4}, magnitudes = {1, 4, 1, 0};
  const std::vector<float> factors = SmoothingFactors(moments, magnitudes);
  EXPECT_FLOAT_EQ(factors[0], 2);
  EXPECT_FLOAT_EQ(factors[1], 0.5f);
  EXPECT_FLOAT_EQ(factors[2], 1e-5f);
  EXPECT_FLOAT_EQ(factors[3], 1);
}

TEST(Smoothing, ScaledColumnsReadTheSameFromAnyOffset) {
  const tree::OutputTensor scaled = WithScaledColumns(FloatMatrix(3, 3), {1, 2, 0.5f});
  std::vector<uint8_t> all(36);
  ASSERT_TRUE(scaled.bytes->ReadAt(0, all).ok());
  EXPECT_EQ(std::bit_cast<float>(LoadLe<uint32_t>(all.data() + 4 * 4)), 9.0f);  // (0.5 + 4) * 2
  for (size_t offset = 0; offset < all.size(); ++offset) {
    for (size_t count = 0; count <= all.size() - offset; ++count) {
      std::vector<uint8_t> part(count);
      ASSERT_TRUE(scaled.bytes->ReadAt(offset, part).ok());
      EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin() + static_cast<ptrdiff_t>(offset)));
    }
  }
  std::vector<uint8_t> beyond(2);
  EXPECT_FALSE(scaled.bytes->ReadAt(35, beyond).ok());
}

class SmoothedAnalysis : public testing::Test {
 protected:
  SmoothedAnalysis() { WriteLlama(folder_.Path("source"), source::Dtype::kF32, /*shards=*/false); }

  Analysis Run(const TrialOptions& options) {
    Result<source::Checkpoint> checkpoint = source::OpenCheckpoint(folder_.Path("source"));
    EXPECT_TRUE(checkpoint.ok());
    ThreadPool pool(2);
    read::NoProgress progress;
    Result<Analysis> analysis = Analyze(*checkpoint, options, pool, progress);
    EXPECT_TRUE(analysis.ok()) << analysis.error().message;
    return std::move(*analysis);
  }

  static const SchemeCosts& Find(const Analysis& analysis, const std::string& name) {
    for (const SchemeCosts& scheme : analysis.schemes) {
      if (scheme.trial.name == name) return scheme;
    }
    ADD_FAILURE() << name << " is missing";
    return analysis.schemes.front();
  }

  TemporaryFolder folder_;
};

TEST_F(SmoothedAnalysis, KeepsOutputsBetterWhereFewInputsRunLarge) {
  TrialOptions options;
  options.rates = {4};
  const Analysis plain = Run(options);
  std::map<std::string, std::vector<float>> moments;
  for (const MatrixFacts& matrix : plain.matrices) {
    std::vector<float>& of_inputs = moments[matrix.name];
    of_inputs.assign(matrix.shape[1], 1);
    of_inputs[0] = 1e6f;
  }
  options.calibration = quantize::arithmetic::Calibration::Of(std::move(moments));
  const Analysis calibrated = Run(options);
  EXPECT_EQ(calibrated.schemes.size(), plain.schemes.size() + 1);
  const Cost smoothed = Find(calibrated, "int8-tensor-smoothed").Total();
  const Cost unsmoothed = Find(calibrated, "int8-tensor").Total();
  EXPECT_GT(smoothed.OutputSqnrDb(), unsmoothed.OutputSqnrDb() + 6);
  // The weights themselves are measured as they were before they were scaled.
  EXPECT_NEAR(smoothed.error->signal_energy, unsmoothed.error->signal_energy, 1e-3 * unsmoothed.error->signal_energy);
  EXPECT_NEAR(smoothed.output_error->signal_energy, unsmoothed.output_error->signal_energy,
              1e-3 * unsmoothed.output_error->signal_energy);
  for (const SchemeCosts& scheme : calibrated.schemes) {
    EXPECT_EQ(scheme.Total().output_error.has_value(), scheme.trial.kind != Trial::Kind::kLossless)
        << scheme.trial.name;
  }
  std::ostringstream table;
  PrintAnalysis(calibrated, table);
  EXPECT_NE(table.str().find("outputs dB"), std::string::npos);
  EXPECT_NE(AnalysisJson(calibrated).find("output_sqnr_db"), std::string::npos);
  EXPECT_EQ(AnalysisJson(plain).find("output_sqnr_db"), std::string::npos);
}

TEST_F(SmoothedAnalysis, EqualInputsChangeNothing) {
  TrialOptions options;
  options.rates = {4};
  const Analysis plain = Run(options);
  std::map<std::string, std::vector<float>> moments;
  for (const MatrixFacts& matrix : plain.matrices) {
    // What makes every factor 1.
    std::vector<float>& of_inputs = moments[matrix.name];
    for (float magnitude : matrix.survey.column_magnitudes) of_inputs.push_back(magnitude * magnitude);
  }
  options.calibration = quantize::arithmetic::Calibration::Of(std::move(moments));
  const Analysis calibrated = Run(options);
  const Cost smoothed = Find(calibrated, "int8-tensor-smoothed").Total();
  const Cost unsmoothed = Find(calibrated, "int8-tensor").Total();
  EXPECT_NEAR(smoothed.SqnrDb(), unsmoothed.SqnrDb(), 0.05);
}

}  // namespace
}  // namespace entrofs::packer::analyze
