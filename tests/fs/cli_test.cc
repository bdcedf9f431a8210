#include "fs/cli.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "fs/mount_options.h"
#include "tests/fs/test_archive.h"

namespace entrofs::fs {
namespace {

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

Outcome RunEntrofs(std::vector<std::string> args, const std::string& program = "entrofs") {
  std::ostringstream out;
  std::ostringstream err;
  int code = RunCli(program, std::move(args), out, err);
  return {code, out.str(), err.str()};
}

TEST(Cli, HelpNamesEverySubcommand) {
  Outcome help = RunEntrofs({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* name : {"mount", "umount", "status"}) EXPECT_NE(help.out.find(name), std::string::npos);
  EXPECT_TRUE(help.err.empty());
}

TEST(Cli, MountHelpTeachesByExample) {
  Outcome help = RunEntrofs({"mount", "--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* text : {"Examples:", "cache_size=", "--cache-size", "--engine", "entrofs umount"}) {
    EXPECT_NE(help.out.find(text), std::string::npos) << text;
  }
}

TEST(Cli, MountHelpNamesEveryMountOption) {
  const std::string help = RunEntrofs({"mount", "--help"}).out;
  for (const MountOption& option : MountOptionTable()) {
    std::string flag = "--" + std::string(option.name);
    std::replace(flag.begin(), flag.end(), '_', '-');
    EXPECT_NE(help.find(flag), std::string::npos) << flag;
    EXPECT_NE(help.find(option.syntax), std::string::npos) << flag;
  }
}

TEST(Cli, VersionIsPrinted) { EXPECT_EQ(RunEntrofs({"--version"}).out.substr(0, 8), "entrofs "); }

TEST(Cli, SenselessCommandLinesExitWithTwo) {
  for (auto args : {std::vector<std::string>{},
                    {"frobnicate"},
                    {"mount"},
                    {"mount", "a"},
                    {"mount", "a", "b", "c"},
                    {"mount", "a", "b", "--threads", "none"},
                    {"mount", "a", "b", "-o", "nonsense"},
                    {"mount", "a", "b", "--cache-size", "much"},
                    {"mount", "a", "b", "--engine", "steam"},
                    {"mount", "a", "b", "--fill", "maybe"},
                    {"mount", "a", "b", "--archive-in-memory=maybe"},
                    {"mount", "a", "b", "--read-ahead-kb", "-1"},
                    {"umount"},
                    {"status"}}) {
    Outcome outcome = RunEntrofs(args);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_FALSE(outcome.err.empty());
    EXPECT_TRUE(outcome.out.empty());
  }
}

TEST(Cli, UnknownKernelsExitWithTwoAndOneLine) {
  TestFolder folder;
  const char* const before = std::getenv("ENTROFS_KERNELS");
  const std::string kept = before != nullptr ? before : "";
  ::setenv("ENTROFS_KERNELS", "mmx", 1);
  const Outcome outcome = RunEntrofs({"mount", "x.entro", folder.path().string()});
  before != nullptr ? ::setenv("ENTROFS_KERNELS", kept.c_str(), 1) : ::unsetenv("ENTROFS_KERNELS");
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err.substr(0, 29), "entrofs: ENTROFS_KERNELS=mmx:");
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
}

TEST(Cli, FailuresExitWithOneAndOneLine) {
  TestFolder folder;
  std::string missing = (folder.path() / "missing.entro").string();
  for (auto args : {std::vector<std::string>{"mount", missing, folder.path().string()},
                    {"mount", "/proc/self/status", folder.path().string()},
                    {"umount", folder.path().string()},
                    {"status", folder.path().string()},
                    {"status", missing}}) {
    Outcome outcome = RunEntrofs(args);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_EQ(outcome.err.substr(0, 9), "entrofs: ");
  }
}

TEST(Cli, MountPointsMustBeFolders) {
  TestFolder folder;
  std::string archive = (folder.path() / "a.entro").string();
  WriteArchive(archive, {});
  EXPECT_NE(RunEntrofs({"mount", archive, (folder.path() / "no").string()}).err.find("No such file"),
            std::string::npos);
  EXPECT_NE(RunEntrofs({"mount", archive, archive}).err.find("not a folder"), std::string::npos);
}

TEST(Cli, MountHelperTakesWhatMountGives) {
  EXPECT_EQ(RunEntrofs({"/no.entro", "/mnt", "-f", "-o", "rw,nofail"}, "/sbin/mount.entrofs").code, 0);
  EXPECT_EQ(RunEntrofs({"/no.entro", "/mnt", "-s", "-n", "-v", "-o", "rw"}, "/sbin/mount.entrofs").code, 1);
  EXPECT_EQ(RunEntrofs({"/no.entro"}, "mount.entrofs").code, 2);
}

}  // namespace
}  // namespace entrofs::fs
