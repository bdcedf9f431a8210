// A process that is killed while it packs leaves the old archive or the complete new one under the final name.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/sample_archive.h"
#include "tests/support/temporary_folder.h"

namespace entrofs {
namespace {

using testing_support::Sample;

Sample NumberedSample(uint32_t number) {
  Sample sample = testing_support::MixedSample(50);
  std::string text = std::to_string(number);
  sample.files.push_back({.path = "number", .extents = {{"number", testing_support::Bytes(text.begin(), text.end())}}});
  sample.files.push_back(
      {.path = "noise", .extents = {{"noise", testing_support::RandomBytes(2'500'000, 256, number)}}});
  return sample;
}

// Packs one archive after another over the same path, until killed.
[[noreturn]] void PackForever(const std::string& path) {
  ThreadPool pool(2);
  for (uint32_t number = 1;; ++number) {
    auto file = CreateFile(path);
    if (!file) ::_exit(1);
    archive::ArchiveWriter writer(std::move(*file), pool);
    if (!testing_support::Write(NumberedSample(number), writer)) ::_exit(1);
  }
}

TEST(Kill, AtAnyMomentLeavesACompleteArchiveOrNone) {
  constexpr int kRounds = 60;
  testing_support::TemporaryFolder folder;
  int complete = 0;
  for (int round = 0; round < kRounds; ++round) {
    const std::string path = folder.Path(std::to_string(round));
    pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) PackForever(path);
    testing_support::Bytes noise = testing_support::RandomBytes(4, 256, static_cast<uint64_t>(round));
    ::usleep(LoadLe<uint32_t>(noise.data()) % 200'000);
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the packer failed by itself";
    if (!std::filesystem::exists(path)) continue;
    ++complete;
    auto file = OpenForReading(path);
    ASSERT_TRUE(file.ok());
    auto reader = archive::ArchiveReader::Open(std::move(*file), path);
    ASSERT_TRUE(reader.ok()) << reader.error().message;
    auto contents = testing_support::ReadAll(**reader);
    ASSERT_TRUE(contents.ok()) << contents.error().message;
    uint32_t number = static_cast<uint32_t>(std::stoul(std::string(AsText((*contents)["number"]))));
    for (const auto& expected : NumberedSample(number).files) {
      EXPECT_TRUE((*contents)[expected.path] == expected.Content()) << expected.path;
    }
  }
  std::printf("%d of %d killed packers had left an archive\n", complete, kRounds);
}

}  // namespace
}  // namespace entrofs
