// entro-pack's command line: arguments, exit codes, what is printed where.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/run_entro_pack.h"
#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_keys.h"

namespace entrofs {
namespace {

using packer::source::Dtype;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using testing_support::CliResult;
using testing_support::Difference;
using testing_support::ReadFile;
using testing_support::RunEntroPack;
using testing_support::SafetensorsFile;
using testing_support::TemporaryFolder;
using testing_support::Weights;
using testing_support::WriteFile;
using testing_support::WriteLlama;

// A failure that is one line on err, and nothing on out.
void ExpectOneLineError(const CliResult& result, int code, const std::string& part) {
  EXPECT_EQ(result.code, code) << result.err;
  EXPECT_THAT(result.err, HasSubstr(part));
  EXPECT_THAT(result.err, StartsWith("entro-pack"));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_THAT(result.out, IsEmpty());
}

TEST(EntroPack, HelpTeachesEveryCommand) {
  CliResult help = RunEntroPack({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* command : {"create", "inspect", "list", "verify", "extract", "sign", "verify-signature"}) {
    EXPECT_THAT(help.out, HasSubstr(command));
    CliResult command_help = RunEntroPack({command, "--help"});
    EXPECT_EQ(command_help.code, 0);
    EXPECT_THAT(command_help.out, HasSubstr(std::string("entro-pack ") + command));
    EXPECT_THAT(command_help.err, IsEmpty());
  }
  EXPECT_THAT(RunEntroPack({"create", "--help"}).out, HasSubstr("examples:"));
  EXPECT_THAT(RunEntroPack({"--version"}).out, StartsWith("entro-pack "));
}

TEST(EntroPack, WrongArgumentsAreOneLineAndExitCodeTwo) {
  EXPECT_EQ(RunEntroPack({}).code, 2);
  ExpectOneLineError(RunEntroPack({"pack"}), 2, "no command 'pack'");
  ExpectOneLineError(RunEntroPack({"create"}), 2, "SRC");
  ExpectOneLineError(RunEntroPack({"create", "x", "-o", "y", "--quant", "int3"}), 2, "int3");
  ExpectOneLineError(RunEntroPack({"create", "x", "-o", "y", "--codec", "zip"}), 2, "zip");
  ExpectOneLineError(RunEntroPack({"create", "x", "-o", "y", "--target", "cloud"}), 2, "cloud");
  ExpectOneLineError(RunEntroPack({"create", "x", "-o", "y", "--target", "edge", "--codec", "tans"}), 2, "no choice");
  ExpectOneLineError(RunEntroPack({"create", "x", "-o", "y", "--threads", "0"}), 2, "--threads");
  ExpectOneLineError(RunEntroPack({"create", "x", "-o", "y", "--segment-size", "1000"}), 2, "--segment-size 1000");
  ExpectOneLineError(RunEntroPack({"create", "x", "-o", "y", "--segment-size", "lots"}), 2, "'lots' is not a size");
  ExpectOneLineError(RunEntroPack({"create", "x", "-o", "y", "--unknown"}), 2, "--unknown");
  ExpectOneLineError(RunEntroPack({"create", "x", "-o", "y", "--include", "*"}), 2, "need --quant");
  ExpectOneLineError(RunEntroPack({"inspect"}), 2, "FILE");
  ExpectOneLineError(RunEntroPack({"extract", "a"}), 2, "DIR");
}

TEST(EntroPack, MissingOrForeignFilesAreExitCodeOne) {
  TemporaryFolder folder;
  WriteFile(folder.Path("text"),
            "this is no archive at all, it only looks long enough to be one ... " + std::string(200, '.'));
  for (const char* command : {"inspect", "list", "verify"}) {
    ExpectOneLineError(RunEntroPack({command, folder.Path("missing")}), 1, "No such file");
    ExpectOneLineError(RunEntroPack({command, folder.Path("text")}), 1, "text");
  }
  ExpectOneLineError(RunEntroPack({"extract", folder.Path("text"), folder.Path("target")}), 1, "text");
  ExpectOneLineError(RunEntroPack({"create", folder.Path("missing"), "-o", folder.Path("a")}), 1, "No such file");
  EXPECT_EQ(folder.FileCount(), 1u);
}

TEST(EntroPack, LosslessArchivesExtractToTheSource) {
  TemporaryFolder folder;
  const std::string source = folder.Path("source");
  const std::string archive = folder.Path("a.entro");
  WriteLlama(source, Dtype::kBf16, true);
  CliResult create = RunEntroPack({"create", source, "-o", archive});
  ASSERT_EQ(create.code, 0) << create.err;
  EXPECT_THAT(create.err, IsEmpty());
  EXPECT_THAT(create.out, HasSubstr("bits/weight"));
  EXPECT_THAT(create.out, HasSubstr("BF16"));
  EXPECT_EQ(RunEntroPack({"verify", archive}).code, 0);
  EXPECT_EQ(RunEntroPack({"verify", archive, "--source", source}).code, 0);
  CliResult list = RunEntroPack({"list", archive});
  EXPECT_THAT(list.out, HasSubstr("model.safetensors.index.json"));
  ASSERT_EQ(RunEntroPack({"extract", archive, folder.Path("target")}).code, 0);
  EXPECT_EQ(Difference(source, folder.Path("target")), "");
}

TEST(EntroPack, OneFileIsPackedAlone) {
  TemporaryFolder folder;
  WriteFile(folder.Path("in/adapter.safetensors"), SafetensorsFile({Weights("w", Dtype::kF16, {40, 40}, 1)}));
  WriteFile(folder.Path("in/other"), "");
  const std::string archive = folder.Path("a.entro");
  ASSERT_EQ(RunEntroPack({"create", folder.Path("in/adapter.safetensors"), "-o", archive}).code, 0);
  EXPECT_EQ(RunEntroPack({"verify", archive, "--source", folder.Path("in/adapter.safetensors")}).code, 0);
  ExpectOneLineError(RunEntroPack({"create", folder.Path("in/other"), "-o", archive}), 2, "neither a directory nor");
}

TEST(EntroPack, InspectJsonHasExactlyTheDocumentedKeys) {
  TemporaryFolder folder;
  WriteLlama(folder.Path("source"), Dtype::kBf16, false);
  CliResult create = RunEntroPack({"create", folder.Path("source"), "-o", folder.Path("a"), "--quant", "uint8",
                                   "--json", "--report", folder.Path("report.json")});
  ASSERT_EQ(create.code, 0) << create.err;
  CliResult inspect = RunEntroPack({"inspect", folder.Path("a"), "--json"});
  ASSERT_EQ(inspect.code, 0);
  EXPECT_EQ(create.out, inspect.out);
  EXPECT_EQ(create.out, ReadFile(folder.Path("report.json")));
  auto json = nlohmann::json::parse(inspect.out);
  EXPECT_EQ(json["archive_bytes"], std::filesystem::file_size(folder.Path("a")));
  size_t quantized = 0;
  for (const auto& tensor : json["tensors"]) {
    EXPECT_EQ(tensor.size(), tensor.contains("sqnr_db") ? 10u : 9u);
    quantized += tensor.contains("sqnr_db");
  }
  EXPECT_EQ(quantized, 14u);
  EXPECT_THAT(RunEntroPack({"inspect", folder.Path("a")}).out, HasSubstr("quantized: 14 tensors by uint8"));
}

TEST(EntroPack, IncludeAndExcludeChooseWhatIsQuantized) {
  TemporaryFolder folder;
  WriteLlama(folder.Path("source"), Dtype::kBf16, false);
  CliResult create = RunEntroPack({"create", folder.Path("source"), "-o", folder.Path("a"), "--quant", "uint4",
                                   "--include", "*embed*", "--exclude", "*.mlp.*", "--exclude", "*q_proj*"});
  ASSERT_EQ(create.code, 0) << create.err;
  EXPECT_THAT(create.out, HasSubstr("quantized: 7 tensors by uint4"));
}

TEST(EntroPack, EverySchemeIsInReach) {
  TemporaryFolder folder;
  WriteLlama(folder.Path("source"), Dtype::kBf16, true);
  const std::vector<std::vector<std::string>> choices = {
      {"--quant", "uint8"},
      {"--quant", "uint4"},
      {"--quant", "int8-tensor"},
      {"--quant", "int8-channel"},
      {"--quant", "uint4-group"},
      {"--quant", "uint4-group", "--group-size", "32", "--symmetric"},
      {"--bits-per-weight", "4.5"},
      {"--bits-per-weight", "3", "--trellis", "--segment-size", "64KiB"},
      {"--bits-per-weight", "3", "--trellis", "--tables", "archive"}};
  for (const std::vector<std::string>& choice : choices) {
    std::vector<std::string> args = {"create", folder.Path("source"), "-o", folder.Path("a")};
    args.insert(args.end(), choice.begin(), choice.end());
    CliResult create = RunEntroPack(args);
    ASSERT_EQ(create.code, 0) << create.err;
    EXPECT_THAT(create.out, HasSubstr("quantized: 14 tensors by ")) << choice[1];
  }
  ExpectOneLineError(RunEntroPack({"create", "x", "-o", "y", "--quant", "uint8", "--bits-per-weight", "3"}), 2,
                     "--bits-per-weight");
  ExpectOneLineError(RunEntroPack({"create", "x", "-o", "y", "--bits-per-weight", "99"}), 2, "--bits-per-weight");
  EXPECT_EQ(RunEntroPack({"create", folder.Path("source"), "-o", folder.Path("a"), "--bits-per-weight", "3",
                          "--trellis", "--layout", "mlx", "--group-size", "32"})
                .code,
            0);
  ExpectOneLineError(RunEntroPack({"create", "x", "-o", "y", "--trellis"}), 2, "--trellis needs");
  ExpectOneLineError(
      RunEntroPack({"create", folder.Path("source"), "-o", folder.Path("a"), "--bits-per-weight", "6", "--trellis"}), 2,
      "from 1 to 5");
}

TEST(EntroPack, VerifyNamesWhatIsBadAndFails) {
  TemporaryFolder folder;
  const std::string archive = folder.Path("a.entro");
  WriteFile(folder.Path("source/m.safetensors"), SafetensorsFile({Weights("the.weight", Dtype::kF32, {300, 300}, 1)}));
  ASSERT_EQ(RunEntroPack({"create", folder.Path("source"), "-o", archive}).code, 0);
  std::string bytes = ReadFile(archive);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  WriteFile(archive, bytes);
  CliResult verify = RunEntroPack({"verify", archive});
  EXPECT_EQ(verify.code, 1);
  EXPECT_THAT(verify.err, HasSubstr("m.safetensors"));
  EXPECT_THAT(verify.err, HasSubstr("the.weight"));
  EXPECT_THAT(verify.out, IsEmpty());
}

TEST(EntroPack, SignaturesAreMadeAndChecked) {
  TemporaryFolder folder;
  const std::string archive = folder.Path("a.entro");
  WriteFile(folder.Path("source/m.safetensors"), SafetensorsFile({Weights("the.weight", Dtype::kF32, {300, 300}, 1)}));
  ASSERT_EQ(RunEntroPack({"create", folder.Path("source"), "-o", archive}).code, 0);
  ASSERT_TRUE(testing_support::MakeKeys("ED25519", folder.Path("private"), folder.Path("public")));
  ASSERT_TRUE(testing_support::MakeKeys("ED25519", folder.Path("private2"), folder.Path("public2")));
  ExpectOneLineError(RunEntroPack({"verify-signature", archive, "--key", folder.Path("public")}), 1, "a.entro.sig");
  ExpectOneLineError(RunEntroPack({"sign", archive, "--key", folder.Path("public")}), 1, "no Ed25519 private key");
  ExpectOneLineError(RunEntroPack({"sign", folder.Path("public"), "--key", folder.Path("private")}), 1,
                     "not an entrofs");
  ExpectOneLineError(RunEntroPack({"sign", archive}), 2, "--key");
  EXPECT_FALSE(std::filesystem::exists(archive + ".sig"));
  CliResult sign = RunEntroPack({"sign", archive, "--key", folder.Path("private")});
  EXPECT_EQ(sign.code, 0) << sign.err;
  EXPECT_THAT(sign.out, HasSubstr("a.entro.sig"));
  EXPECT_EQ(RunEntroPack({"verify-signature", archive, "--key", folder.Path("public")}).code, 0);
  ExpectOneLineError(RunEntroPack({"verify-signature", archive, "--key", folder.Path("public2")}), 1,
                     "not made with this key");
  std::string bytes = ReadFile(archive);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  WriteFile(archive, bytes);
  ExpectOneLineError(RunEntroPack({"verify-signature", archive, "--key", folder.Path("public")}), 1,
                     "not those signed");
}

TEST(EntroPack, BrokenSafetensorsLeaveNoArchive) {
  TemporaryFolder folder;
  WriteFile(folder.Path("source/bad\xc3\xa9.safetensors"), std::string("\x02\0\0\0\0\0\0\0{}x", 11));
  ExpectOneLineError(RunEntroPack({"create", folder.Path("source"), "-o", folder.Path("a")}), 1,
                     "bad\xc3\xa9.safetensors: 1 bytes follow the last tensor");
  EXPECT_EQ(folder.FileCount(), 1u);
}

TEST(EntroPack, CheckpointsThatCannotBePackedAreExitCodeOne) {
  TemporaryFolder folder;
  const std::string source = folder.Path("source");
  WriteLlama(source, Dtype::kBf16, false);
  WriteFile(source + "/config.json", R"({"quantization_config":{"bits":4}})");
  ExpectOneLineError(RunEntroPack({"create", source, "-o", folder.Path("a"), "--quant", "uint8"}), 1,
                     "config.json: has a quantization_config");
  std::filesystem::create_symlink("nowhere", source + "/link");
  ExpectOneLineError(RunEntroPack({"create", source, "-o", folder.Path("a")}), 1, "link: is a link that leads nowhere");
  EXPECT_EQ(folder.FileCount(), 1u);
}

TEST(EntroPack, RefusesToWriteIntoItsSource) {
  TemporaryFolder folder;
  WriteFile(folder.Path("source/a.txt"), "x");
  ExpectOneLineError(RunEntroPack({"create", folder.Path("source"), "-o", folder.Path("source/sub/../a.entro")}), 2,
                     "inside the source");
  ExpectOneLineError(RunEntroPack({"create", folder.Path("source"), "-o", folder.path()}), 2, "is a directory");
  WriteFile(folder.Path("m.safetensors"), SafetensorsFile({}));
  ExpectOneLineError(RunEntroPack({"create", folder.Path("m.safetensors"), "-o", folder.Path("m.safetensors")}), 2,
                     "is the source");
}

TEST(EntroPack, ReplacesAnArchiveOnlyByACompleteOne) {
  TemporaryFolder folder;
  const std::string archive = folder.Path("a.entro");
  WriteFile(folder.Path("good/a.txt"), "x");
  WriteFile(folder.Path("bad/b.safetensors"), "short");
  ASSERT_EQ(RunEntroPack({"create", folder.Path("good"), "-o", archive}).code, 0);
  const std::string before = ReadFile(archive);
  EXPECT_EQ(RunEntroPack({"create", folder.Path("bad"), "-o", archive}).code, 1);
  EXPECT_EQ(ReadFile(archive), before);
  WriteFile(folder.Path("good/a.txt"), "y");
  EXPECT_EQ(RunEntroPack({"create", folder.Path("good"), "-o", archive}).code, 0);
  EXPECT_NE(ReadFile(archive), before);
}

TEST(EntroPack, DrawsProgressOnTerminalsOnly) {
  TemporaryFolder folder;
  WriteLlama(folder.Path("source"), Dtype::kBf16, false);
  EXPECT_THAT(RunEntroPack({"create", folder.Path("source"), "-o", folder.Path("a")}).err, IsEmpty());
  // At the end the line is wiped, whether or not anything was drawn.
  EXPECT_THAT(RunEntroPack({"create", folder.Path("source"), "-o", folder.Path("a")}, true).err, HasSubstr("\x1b[K"));
}

}  // namespace
}  // namespace entrofs
