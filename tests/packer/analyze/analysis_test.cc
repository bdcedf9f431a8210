#include "packer/analyze/analysis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <numeric>

#include "packer/analyze/analysis_report.h"
#include "packer/pack/pack.h"
#include "packer/quantize/fitted_tree.h"
#include "packer/report/quantization_summary.h"
#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::packer::analyze {
namespace {

using testing_support::SafetensorsFile;
using testing_support::TemporaryFolder;
using testing_support::Weights;
using testing_support::WriteFile;
using testing_support::WriteLlama;

Result<Analysis> AnalyzeFiles(const std::string& source, const TrialOptions& options = {}, size_t threads = 2) {
  ENTROFS_ASSIGN_OR_RETURN(source::Checkpoint checkpoint, source::OpenCheckpoint(source));
  ThreadPool pool(threads);
  read::NoProgress progress;
  return Analyze(checkpoint, options, pool, progress);
}

const SchemeCosts& Find(const Analysis& analysis, const std::string& name) {
  for (const SchemeCosts& scheme : analysis.schemes) {
    if (scheme.trial.name == name) return scheme;
  }
  ADD_FAILURE() << name << " is missing";
  return analysis.schemes.front();
}

TEST(Analyze, ForetellsTheArchivesOfEverySchemeToTheByte) {
  TemporaryFolder folder;
  WriteLlama(folder.Path("source"), source::Dtype::kBf16, /*shards=*/true);
  Result<Analysis> analysis = AnalyzeFiles(folder.Path("source"));
  ASSERT_TRUE(analysis.ok()) << analysis.error().message;
  Result<source::Checkpoint> checkpoint = source::OpenCheckpoint(folder.Path("source"));
  ASSERT_TRUE(checkpoint.ok());
  ThreadPool pool(2);
  read::NoProgress progress;
  for (const SchemeCosts& scheme : analysis->schemes) {
    if (scheme.trial.kind == Trial::Kind::kOutliers || scheme.trial.options.trellis) continue;
    const bool is_lossless = scheme.trial.kind == Trial::Kind::kLossless;
    pack::PackOptions options;
    options.quant = is_lossless ? "none" : Name(scheme.trial.options.scheme);
    Result<tree::OutputTree> tree = is_lossless
                                        ? tree::LosslessTree(*checkpoint)
                                        : quantize::FittedTree(*checkpoint, scheme.trial.options, options, pool);
    ASSERT_TRUE(tree.ok());
    ASSERT_TRUE(pack::Pack(*tree, folder.Path("archive"), options, pool, progress).ok());
    EXPECT_EQ(scheme.archive_bytes, std::filesystem::file_size(folder.Path("archive"))) << scheme.trial.name;
  }
}

// The analysis' figures of trellises against those of the archives that `create` makes.
void ExpectTrellisesForetold(const std::string& source, const TrialOptions& options) {
  Result<Analysis> analysis = AnalyzeFiles(source, options);
  ASSERT_TRUE(analysis.ok()) << analysis.error().message;
  Result<source::Checkpoint> checkpoint = source::OpenCheckpoint(source);
  ASSERT_TRUE(checkpoint.ok());
  ThreadPool pool(2);
  read::NoProgress progress;
  size_t compared = 0;
  for (const SchemeCosts& scheme : analysis->schemes) {
    if (!scheme.trial.options.trellis) continue;
    ++compared;
    pack::PackOptions pack_options;
    Result<tree::OutputTree> tree = quantize::FittedTree(*checkpoint, scheme.trial.options, pack_options, pool);
    ASSERT_TRUE(tree.ok()) << tree.error().message;
    Result<pack::PackResult> packed =
        pack::RehearsePacking(*tree, pack_options, pack::Rehearsal::kExact, pool, progress);
    ASSERT_TRUE(packed.ok()) << packed.error().message;
    const std::optional<report::QuantizationSummary> real = report::SummarizeQuantization(packed->report);
    ASSERT_TRUE(real.has_value());
    const Cost foretold = scheme.Total();
    EXPECT_NEAR(foretold.SqnrDb(), real->error.SqnrDb(), 0.1) << scheme.trial.name;
    EXPECT_NEAR(foretold.bits_per_weight(), real->bits_per_weight(), 0.01 * real->bits_per_weight())
        << scheme.trial.name;
    if (options.calibration) {
      ASSERT_TRUE(real->output_error.has_value());
      EXPECT_NEAR(foretold.OutputSqnrDb(), real->output_error->SqnrDb(), 0.1) << scheme.trial.name;
    }
    EXPECT_NEAR(scheme.matrices[scheme.WorstFirst().front()].SqnrDb(), real->worst_sqnr_db, 0.3) << scheme.trial.name;
  }
  EXPECT_EQ(compared, options.rates.size());
}

TEST(Analyze, ForetellsTrellisesFromSamples) {
  TemporaryFolder folder;
  // Large enough to be sampled; but one whose rows are no whole words follows no trellis, and a small one is no sample.
  WriteFile(folder.Path("model.safetensors"),
            SafetensorsFile({Weights("a.weight", source::Dtype::kBf16, {512, 512}, 1),
                             Weights("b.weight", source::Dtype::kBf16, {768, 256}, 2),
                             Weights("odd.weight", source::Dtype::kBf16, {512, 258}, 3),
                             Weights("small.weight", source::Dtype::kF32, {64, 64}, 4)}));
  TrialOptions options;
  options.rates = {2, 3.5};
  ExpectTrellisesForetold(folder.Path("model.safetensors"), options);

  std::map<std::string, std::vector<float>> moments;
  moments["a.weight"].assign(512, 1);
  for (size_t i = 0; i < 100; ++i) moments["a.weight"][i] = 50;
  moments["b.weight"].assign(256, 3);
  moments["odd.weight"].assign(258, 1);
  moments["small.weight"].assign(64, 10);
  options.rates = {3};
  options.calibration = quantize::arithmetic::Calibration::Of(std::move(moments));
  ExpectTrellisesForetold(folder.Path("model.safetensors"), options);
}

TEST(Analyze, ForetellsTrellisesOfARealModel) {
  const std::string path = testing_support::DataFolder() + "/gpt-neo-125m-attn/model.safetensors";
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << path << " is not there: put the sample models into the folder that ENTROFS_DATA names";
  }
  Result<source::Checkpoint> checkpoint = source::OpenCheckpoint(path);
  ASSERT_TRUE(checkpoint.ok());
  // The layer whose matrices are the most unlike each other.
  std::vector<testing_support::SampleTensor> layer;
  const source::CheckpointFile& file = checkpoint->files[0];
  for (const source::TensorInfo& info : file.header->tensors) {
    if (info.name.find(".h.10.") == std::string::npos || info.shape.size() != 2) continue;
    const tree::OutputTensor tensor = tree::UnchangedTensor(file, info);
    std::string bytes(info.size_bytes, '\0');
    ASSERT_TRUE(tensor.bytes->ReadAt(0, {reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()}).ok());
    layer.push_back({info.name, info.dtype, info.shape, std::move(bytes)});
  }
  ASSERT_EQ(layer.size(), 4u);
  TemporaryFolder folder;
  WriteFile(folder.Path("layer.safetensors"), SafetensorsFile(layer));
  TrialOptions options;
  options.rates = {2, 3.5};
  ExpectTrellisesForetold(folder.Path("layer.safetensors"), options);
}

TEST(Analyze, CountsTheSameMatricesAndWeightsForEveryScheme) {
  TemporaryFolder folder;
  WriteLlama(folder.Path("source"), source::Dtype::kF32, /*shards=*/false);
  Result<Analysis> analysis = AnalyzeFiles(folder.Path("source"));
  ASSERT_TRUE(analysis.ok());
  EXPECT_EQ(analysis->matrices.size(), 14u);
  uint64_t weights = 0;
  for (const MatrixFacts& matrix : analysis->matrices) weights += matrix.weight_count;
  for (const SchemeCosts& scheme : analysis->schemes) {
    const Cost total = scheme.Total();
    EXPECT_EQ(total.weight_count, weights) << scheme.trial.name;
    EXPECT_GT(total.archive_bytes, 0u);
    EXPECT_EQ(total.error.has_value(), scheme.trial.kind != Trial::Kind::kLossless) << scheme.trial.name;
    if (!total.error) continue;
    // Every scheme measures against the same weights.
    EXPECT_NEAR(total.error->signal_energy, Find(*analysis, "uint8").Total().error->signal_energy,
                1e-3 * total.error->signal_energy);
  }
}

TEST(Analyze, SymbolsAreThoseOfAllWeights) {
  TemporaryFolder folder;
  WriteLlama(folder.Path("source"), source::Dtype::kBf16, /*shards=*/false);
  Result<Analysis> analysis = AnalyzeFiles(folder.Path("source"));
  ASSERT_TRUE(analysis.ok());
  const std::map<std::string, int> codes = {{"uint8", 256}, {"uint4", 16}, {"rate-3.5", 256}};
  for (const auto& [name, code_count] : codes) {
    const SchemeCosts& scheme = Find(*analysis, name);
    for (size_t i = 0; i < scheme.matrices.size(); ++i) {
      ASSERT_TRUE(scheme.matrices[i].symbols.has_value());
      const SymbolCounts& symbols = *scheme.matrices[i].symbols;
      EXPECT_EQ(std::accumulate(symbols.counts.begin(), symbols.counts.end(), uint64_t{0}),
                analysis->matrices[i].weight_count)
          << name << " " << analysis->matrices[i].name;
      EXPECT_LE(symbols.first + static_cast<int>(symbols.counts.size()), code_count);
    }
  }
}

TEST(Analyze, KeepingOutlierColumnsLosesLess) {
  TemporaryFolder folder;
  WriteLlama(folder.Path("source"), source::Dtype::kBf16, /*shards=*/false);
  Result<Analysis> analysis = AnalyzeFiles(folder.Path("source"));
  ASSERT_TRUE(analysis.ok());
  uint64_t outliers = 0;
  for (const MatrixFacts& matrix : analysis->matrices) outliers += matrix.outlier_columns;
  ASSERT_GT(outliers, 0u);
  EXPECT_GT(Find(*analysis, "int8-channel-outliers").Total().SqnrDb(),
            Find(*analysis, "int8-channel").Total().SqnrDb());
}

TEST(Analyze, GivesTheSameFiguresForAnyNumberOfThreads) {
  TemporaryFolder folder;
  WriteLlama(folder.Path("source"), source::Dtype::kF16, /*shards=*/true);
  TrialOptions options;
  options.rates = {3};
  Result<Analysis> one = AnalyzeFiles(folder.Path("source"), options, 1);
  Result<Analysis> many = AnalyzeFiles(folder.Path("source"), options, 5);
  ASSERT_TRUE(one.ok() && many.ok());
  EXPECT_EQ(AnalysisJson(*one), AnalysisJson(*many));
}

TEST(Analyze, TakesAllMatricesOfAFileWithoutLinearWeights) {
  TemporaryFolder folder;
  WriteFile(folder.Path("activations.safetensors"),
            SafetensorsFile({Weights("layers.0.mlp.input", source::Dtype::kF32, {40, 64}, 1),
                             Weights("layers.1.mlp.input", source::Dtype::kF32, {40, 64}, 2),
                             Weights("norm", source::Dtype::kF32, {64}, 3)}));
  Result<Analysis> analysis = AnalyzeFiles(folder.Path("activations.safetensors"));
  ASSERT_TRUE(analysis.ok()) << analysis.error().message;
  ASSERT_EQ(analysis->matrices.size(), 2u);
  EXPECT_EQ(analysis->matrices[1].name, "layers.1.mlp.input");
  EXPECT_TRUE(analysis->warnings.empty());
}

TEST(Analyze, KeepsMatricesOfOneNameInTwoFilesApart) {
  TemporaryFolder folder;
  WriteFile(folder.Path("source/a.safetensors"),
            SafetensorsFile({Weights("up.weight", source::Dtype::kBf16, {32, 64}, 1)}));
  WriteFile(folder.Path("source/b.safetensors"),
            SafetensorsFile({Weights("up.weight", source::Dtype::kBf16, {64, 64}, 2)}));
  Result<Analysis> analysis = AnalyzeFiles(folder.Path("source"));
  ASSERT_TRUE(analysis.ok()) << analysis.error().message;
  ASSERT_EQ(analysis->matrices.size(), 2u);
  for (const SchemeCosts& scheme : analysis->schemes) {
    EXPECT_EQ(scheme.matrices[0].weight_count, 32u * 64) << scheme.trial.name;
    EXPECT_EQ(scheme.matrices[1].weight_count, 64u * 64) << scheme.trial.name;
  }
}

TEST(Analyze, ShowsTheLosslessSizeAloneWhereNothingCanBeQuantized) {
  TemporaryFolder folder;
  WriteFile(folder.Path("norms.safetensors"), SafetensorsFile({Weights("norm", source::Dtype::kBf16, {640}, 1)}));
  Result<Analysis> analysis = AnalyzeFiles(folder.Path("norms.safetensors"));
  ASSERT_TRUE(analysis.ok()) << analysis.error().message;
  EXPECT_EQ(analysis->schemes.size(), 1u);
  EXPECT_TRUE(analysis->matrices.empty());
  EXPECT_THAT(AnalysisPage(*analysis), testing::HasSubstr("norms.safetensors"));
}

TEST(Analyze, SaysWhereACheckpointIsQuantizedAlready) {
  TemporaryFolder folder;
  WriteLlama(folder.Path("source"), source::Dtype::kBf16, /*shards=*/false);
  WriteFile(folder.Path("source/config.json"), R"({"quantization_config": {"bits": 4}})");
  Result<Analysis> analysis = AnalyzeFiles(folder.Path("source"));
  ASSERT_TRUE(analysis.ok()) << analysis.error().message;
  EXPECT_EQ(analysis->schemes.size(), 1u);
  ASSERT_EQ(analysis->warnings.size(), 1u);
  EXPECT_THAT(analysis->warnings[0], testing::HasSubstr("quantized already"));
}

TEST(AnalysisPage, HoldsItsDataWithoutTagsAndNeedsNothingElse) {
  TemporaryFolder folder;
  WriteFile(folder.Path("odd.safetensors"),
            SafetensorsFile({Weights("</script><b>.weight", source::Dtype::kBf16, {32, 64}, 1)}));
  Result<Analysis> analysis = AnalyzeFiles(folder.Path("odd.safetensors"));
  ASSERT_TRUE(analysis.ok());
  const std::string page = AnalysisPage(*analysis);
  EXPECT_THAT(page, testing::HasSubstr("\\u003c/script>\\u003cb>.weight"));
  EXPECT_THAT(page, testing::Not(testing::HasSubstr("</script><b>")));
  EXPECT_THAT(page, testing::Not(testing::ContainsRegex("(src|href)=|@import|url\\(|fetch\\(")));
  EXPECT_THAT(page, testing::Not(testing::HasSubstr("@PAGE")));
}

}  // namespace
}  // namespace entrofs::packer::analyze
