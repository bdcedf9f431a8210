#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "packer/cli/cli.h"
#include "tests/cli/run_entro_pack.h"
#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::testing_support {
namespace {

using testing::HasSubstr;

TEST(AnalyzeCommand, PrintsTablesOfAtMostAHundredColumns) {
  TemporaryFolder folder;
  WriteLlama(folder.Path("source"), packer::source::Dtype::kBf16, false);
  CliResult result = RunEntroPack({"analyze", folder.Path("source"), "--rate", "3.5", "--rate", "2"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out, HasSubstr("uint8 per tensor (EntroLLM)"));
  EXPECT_THAT(result.out, HasSubstr("int8 for 3.5 bits per weight"));
  EXPECT_THAT(result.out, HasSubstr("int8 on a trellis, 2 bits"));
  EXPECT_THAT(result.out, testing::ContainsRegex("--bits-per-weight 3.5 --trellis would gain 1\\.[0-9] dB"));
  EXPECT_THAT(result.out, HasSubstr("worst by uint4, groups of 128:"));
  std::istringstream lines(result.out.substr(result.out.find('\n')));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

TEST(AnalyzeCommand, JsonHasTheDocumentedKeys) {
  TemporaryFolder folder;
  WriteLlama(folder.Path("source"), packer::source::Dtype::kBf16, false);
  CliResult result = RunEntroPack({"analyze", folder.Path("source"), "--json", "--rate", "3"});
  ASSERT_EQ(result.code, 0) << result.err;
  auto json = nlohmann::json::parse(result.out);
  for (const char* key : {"source", "source_bytes", "weights", "schemes", "tensors", "histogram_span", "warnings"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  ASSERT_EQ(json["schemes"].size(), 11u);
  EXPECT_TRUE(json["schemes"][0]["sqnr_db"].is_null());
  EXPECT_EQ(json["schemes"][9]["name"], "rate-3");
  EXPECT_NEAR(json["schemes"][9]["bits_per_weight"].get<double>(), 3, 0.1);
  EXPECT_EQ(json["schemes"][9]["sampled"], false);
  EXPECT_EQ(json["schemes"][10]["name"], "trellis-3");
  EXPECT_EQ(json["schemes"][10]["sampled"], true);
  ASSERT_EQ(json["tensors"].size(), 14u);
  EXPECT_EQ(json["tensors"][0]["schemes"].size(), 11u);
}

TEST(AnalyzeCommand, WritesThePageWhole) {
  TemporaryFolder folder;
  WriteLlama(folder.Path("source"), packer::source::Dtype::kBf16, false);
  const std::string page = folder.Path("report.html");
  CliResult result = RunEntroPack({"analyze", folder.Path("source"), "--rate", "3", "--html", page});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(ReadFile(page), testing::StartsWith("<!doctype html>"));
  EXPECT_THAT(ReadFile(page), testing::EndsWith("</html>\n"));
}

TEST(AnalyzeCommand, DrawsABarOnATerminal) {
  TemporaryFolder folder;
  WriteLlama(folder.Path("source"), packer::source::Dtype::kBf16, false);
  CliResult result = RunEntroPack({"analyze", folder.Path("source"), "--rate", "3"}, /*terminal=*/true);
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.err, HasSubstr("\x1b[K"));
}

TEST(AnalyzeCommand, RefusesWhatItCannotDo) {
  TemporaryFolder folder;
  EXPECT_EQ(RunEntroPack({"analyze"}).code, 2);
  EXPECT_EQ(RunEntroPack({"analyze", folder.Path("missing")}).code, 1);
  WriteLlama(folder.Path("source"), packer::source::Dtype::kBf16, false);
  EXPECT_EQ(RunEntroPack({"analyze", folder.Path("source"), "--rate", "9"}).code, 2);
  CliResult result =
      RunEntroPack({"analyze", folder.Path("source"), "--rate", "3", "--html", folder.Path("no/folder/report.html")});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.out, "");
}

}  // namespace
}  // namespace entrofs::testing_support
