// What `entro-bench mount` and `load` print and leave behind, on a model too small for its timings to mean anything.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "bench/cli.h"
#include "bench/process.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::bench {
namespace {

using testing::HasSubstr;
using testing_support::TemporaryFolder;

constexpr double kPatienceSeconds = 120;
constexpr char kCannotMount[] = "needs root and /dev/fuse, to mount";

bool CanMount() {
  const int fd = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fd >= 0) ::close(fd);
  return fd >= 0 && ::geteuid() == 0;
}

std::string Program() { return std::string(ENTROFS_BIN_DIR) + "/entro-bench"; }

// Whether any mount of this machine that we can see lies below `folder`.
bool HasMountsBelow(const std::string& folder) {
  std::ifstream table("/proc/self/mountinfo");
  std::stringstream text;
  text << table.rdbuf();
  return text.str().find(folder) != std::string::npos;
}

Result<Process> Start(const TemporaryFolder& folder, const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {Program(), "mount", "--size", "1MiB", "--squashfs-size", "1MiB"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return Process::Start(command, {"TMPDIR=" + folder.path()});
}

TEST(BenchMount, JsonHasOneObjectPerTestSystemAndState) {
  if (!CanMount()) GTEST_SKIP() << kCannotMount;
  TemporaryFolder folder;
  auto run = Start(folder, {"--json", "--rounds", "1", "--systems", "fuse,disk", "--tests",
                            "read-1m,copy-backward,pread-4k,direct-1m"});
  ASSERT_TRUE(run.ok()) << run.error().message;
  ASSERT_TRUE(run->Wait(kPatienceSeconds));
  const std::string output = run->Output(1 << 20);
  ASSERT_EQ(*run->Poll(), 0) << output;
  const auto rows = nlohmann::json::parse(output.substr(output.find("[\n")));
  const std::set<std::string> keys = {
      "test",  "system", "state", "gb_per_s", "daemon_cpu_s_per_gb", "client_cpu_s_per_gb", "ratio_to_squashfs",
      "rounds"};
  std::set<std::string> cases;
  for (const auto& row : rows) {
    std::set<std::string> present;
    for (const auto& [key, value] : row.items()) present.insert(key);
    EXPECT_EQ(present, keys);
    EXPECT_GT(row["gb_per_s"].get<double>(), 0);
    cases.insert(row["test"].get<std::string>() + " " + row["system"].get<std::string>() + " " +
                 row["state"].get<std::string>());
  }
  EXPECT_EQ(cases.size(), rows.size());
  for (const char* name : {"read-1m fuse cold", "read-1m fuse warm", "copy-backward fuse cold", "pread-4k fuse warm",
                           "direct-1m fuse cold", "decode decode-only warm"}) {
    EXPECT_TRUE(cases.contains(name)) << name;
  }
  EXPECT_FALSE(cases.contains("direct-1m fuse warm"));
  EXPECT_EQ(folder.FileCount(), 0u);
}

TEST(BenchMount, InterruptedTakesMountsAndFilesAway) {
  if (!CanMount()) GTEST_SKIP() << kCannotMount;
  TemporaryFolder folder;
  auto run = Start(folder, {"--rounds", "1000", "--systems", "fuse", "--tests", "read-1m"});
  ASSERT_TRUE(run.ok()) << run.error().message;
  const auto racing = [&] { return run->Output(1 << 20).find("round 2 ") != std::string::npos; };
  ASSERT_TRUE(WaitUntil(racing, kPatienceSeconds)) << run->Output();
  ASSERT_EQ(::kill(run->pid(), SIGINT), 0);
  ASSERT_TRUE(run->Wait(kPatienceSeconds));
  EXPECT_EQ(*run->Poll(), 1);
  EXPECT_THAT(run->Output(1 << 20), HasSubstr("interrupted"));
  EXPECT_EQ(folder.FileCount(), 0u);
  EXPECT_FALSE(HasMountsBelow(folder.path()));
}

TEST(BenchMount, FailureTakesFilesAway) {
  if (!CanMount()) GTEST_SKIP() << kCannotMount;
  TemporaryFolder folder;
  auto run = Start(folder, {"--systems", "fuse", "--entrofs", "/bin/false"});
  ASSERT_TRUE(run.ok()) << run.error().message;
  ASSERT_TRUE(run->Wait(kPatienceSeconds));
  EXPECT_EQ(*run->Poll(), 1);
  EXPECT_THAT(run->Output(1 << 20), HasSubstr("did not mount"));
  EXPECT_EQ(folder.FileCount(), 0u);
}

TEST(BenchMount, WrongUsageIsExitCodeTwo) {
  std::ostringstream out, err;
  EXPECT_EQ(RunBench({"mount", "--tests", "no-such"}, out, err), 2);
  EXPECT_EQ(RunBench({"mount", "--systems", "no-such"}, out, err), 2);
  EXPECT_EQ(RunBench({"mount", "--size", "1K"}, out, err), 2);
  EXPECT_EQ(RunBench({"mount", "--rounds", "0"}, out, err), 2);
}

TEST(BenchLoad, WrongUsageIsExitCodeTwo) {
  std::ostringstream out, err;
  EXPECT_EQ(RunBench({"load", "--test", "no-such"}, out, err), 2);
  EXPECT_EQ(RunBench({"load", "--limits", "fast"}, out, err), 2);
  EXPECT_EQ(RunBench({"load", "--size", "1K"}, out, err), 2);
}

}  // namespace
}  // namespace entrofs::bench
