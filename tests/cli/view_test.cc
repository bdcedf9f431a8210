// What archives of quantized weights show, as users of the command line meet it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/run_entro_pack.h"
#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace entrofs {
namespace {

using packer::source::Dtype;
using testing::HasSubstr;
using testing::Not;
using testing_support::CliResult;
using testing_support::ReadFile;
using testing_support::RunEntroPack;
using testing_support::SafetensorsFile;
using testing_support::TemporaryFolder;
using testing_support::Weights;
using testing_support::WriteFile;
using testing_support::WriteLlama;

class ViewOptionTest : public testing::Test {
 protected:
  ViewOptionTest() { WriteLlama(source_, Dtype::kBf16, false); }

  void SetConfig(const std::string& text) { WriteFile(source_ + "/config.json", text); }
  CliResult Create(std::vector<std::string> options) {
    std::vector<std::string> args = {"create", source_, "-o", archive_};
    args.insert(args.end(), options.begin(), options.end());
    return RunEntroPack(args);
  }

  TemporaryFolder folder_;
  const std::string source_ = folder_.Path("source");
  const std::string archive_ = folder_.Path("a.entro");
};

TEST_F(ViewOptionTest, KnownArchitecturesArePackedAndOthersShownAsValues) {
  EXPECT_THAT(Create({"--quant", "uint8"}).out,
              HasSubstr("shows: packed files, which this architecture is known to load"));
  EXPECT_THAT(RunEntroPack({"inspect", archive_}).out, HasSubstr("view compressed-tensors"));
  EXPECT_THAT(RunEntroPack({"inspect", archive_}).out, HasSubstr("view source"));
  for (const char* config : {"{\"model_type\": \"mixtral\"}", "{\"model_type\": \"of tomorrow\"}", "{}", "not JSON"}) {
    SetConfig(config);
    const CliResult result = Create({"--quant", "uint8"});
    EXPECT_EQ(result.code, 0) << config << result.err;
    EXPECT_THAT(result.out, HasSubstr("shows: view source")) << config;
    EXPECT_THAT(RunEntroPack({"inspect", archive_}).out, Not(HasSubstr("view compressed-tensors"))) << config;
  }
}

TEST_F(ViewOptionTest, PackedFilesAreRefusedWhereTheyLoadWrong) {
  SetConfig("{\"model_type\": \"mixtral\"}");
  const CliResult refused = Create({"--quant", "uint8", "--view", "packed"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("model type mixtral: packed weights do not load right there; use --view source"));
  SetConfig("{\"model_type\": \"of tomorrow\"}");
  const CliResult tried = Create({"--quant", "uint8", "--view", "packed"});
  EXPECT_EQ(tried.code, 0) << tried.err;
  EXPECT_THAT(tried.out, HasSubstr("nobody has tried how model type of tomorrow loads them"));
}

TEST_F(ViewOptionTest, OptionsWithoutEffectAreErrors) {
  EXPECT_EQ(Create({"--view", "source"}).code, 2);
  EXPECT_EQ(Create({"--layout", "mlx"}).code, 2);
  EXPECT_EQ(Create({"--quant", "uint8", "--view", "source", "--layout", "mlx"}).code, 2);
  const CliResult include = Create({"--quant", "uint8", "--include", "*.nobody"});
  EXPECT_EQ(include.code, 2);
  EXPECT_THAT(include.err, HasSubstr("--include *.nobody: no tensor has such a name"));
  EXPECT_THAT(Create({"--quant", "uint8", "--exclude", "nobody.*"}).err, HasSubstr("--exclude nobody.*: no tensor"));
}

TEST_F(ViewOptionTest, DryRunTellsOfEveryTensorAndWritesNothing) {
  const CliResult table = Create({"--quant", "uint8", "--dry-run", "--exclude", "*v_proj*"});
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_THAT(table.out,
              testing::ContainsRegex("yes +linear +BF16 +\\[64, 64\\] +model.layers.0.self_attn.q_proj.weight"));
  EXPECT_THAT(table.out,
              testing::ContainsRegex("no +--exclude +BF16 +\\[64, 64\\] +model.layers.0.self_attn.v_proj.weight"));
  EXPECT_THAT(table.out, HasSubstr("12 of 21 tensors would be quantized"));
  const CliResult json = Create({"--quant", "uint8", "--view", "source", "--dry-run", "--json"});
  const auto tensors = nlohmann::json::parse(json.out)["tensors"];
  ASSERT_EQ(tensors.size(), 21u);
  for (const auto& tensor : tensors) EXPECT_FALSE(tensor["reason"].get<std::string>().empty());
  EXPECT_FALSE(std::filesystem::exists(archive_));
  EXPECT_EQ(Create({"--dry-run"}).code, 2);
}

TEST_F(ViewOptionTest, NothingToQuantizeIsAnError) {
  const std::string source = folder_.Path("plain");
  WriteFile(source + "/pytorch_model.bin", std::string(20000, 'x'));
  WriteFile(source + "/config.json", "{\"model_type\": \"llama\"}");
  for (const std::vector<std::string>& how :
       {std::vector<std::string>{"--quant", "uint8"}, {"--bits-per-weight", "4"}}) {
    std::vector<std::string> args = {"create", source, "-o", folder_.Path("b.entro")};
    args.insert(args.end(), how.begin(), how.end());
    const CliResult result = RunEntroPack(args);
    EXPECT_EQ(result.code, 1) << result.err;
    EXPECT_THAT(result.err, HasSubstr("holds no weights that could be quantized"));
  }
}

TEST_F(ViewOptionTest, ExtractAndListTakeAView) {
  ASSERT_EQ(Create({"--quant", "int8-channel"}).code, 0);
  ASSERT_EQ(RunEntroPack({"extract", archive_, folder_.Path("packed")}).code, 0);
  ASSERT_EQ(RunEntroPack({"extract", archive_, folder_.Path("values"), "--view", "source"}).code, 0);
  EXPECT_EQ(ReadFile(folder_.Path("values") + "/config.json"), ReadFile(source_ + "/config.json"));
  EXPECT_THAT(ReadFile(folder_.Path("packed") + "/config.json"), HasSubstr("quantization_config"));
  EXPECT_EQ(ReadFile(folder_.Path("values") + "/model.safetensors").size(),
            ReadFile(source_ + "/model.safetensors").size());
  EXPECT_NE(RunEntroPack({"list", archive_, "--view", "source"}).out, RunEntroPack({"list", archive_}).out);
  const CliResult unknown = RunEntroPack({"extract", archive_, folder_.Path("no"), "--view", "gguf"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("no view 'gguf': it has compressed-tensors, source"));
}

TEST_F(ViewOptionTest, VerifyNoticesDamageInEveryView) {
  ASSERT_EQ(Create({"--quant", "uint8", "--view", "source"}).code, 0);
  EXPECT_EQ(RunEntroPack({"verify", archive_}).code, 0);
  std::string bytes = ReadFile(archive_);
  bytes[bytes.size() / 3] = static_cast<char>(bytes[bytes.size() / 3] ^ 1);
  WriteFile(archive_, bytes);
  const CliResult damaged = RunEntroPack({"verify", archive_});
  EXPECT_EQ(damaged.code, 1);
  EXPECT_THAT(damaged.err, HasSubstr("[source]"));
}

}  // namespace
}  // namespace entrofs
