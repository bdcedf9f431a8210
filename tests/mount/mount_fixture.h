#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/fs/test_archive.h"

// Real mounts by the entrofs program of this build.
namespace entrofs::fs {

struct Outcome {
  int code;            // exit code, or 128 + signal
  std::string output;  // stdout and stderr together
};

// Runs the entrofs program and waits for it.
Outcome RunEntrofs(const std::vector<std::string>& args);

// Starts it, or another program, and does not wait. Output goes to `log`.
pid_t StartEntrofs(const std::vector<std::string>& args, const std::filesystem::path& log);
pid_t StartProgram(std::vector<std::string> words, const std::filesystem::path& log);

// All of a file, empty when it is not there.
std::string ReadText(const std::filesystem::path& path);

// Waits for a process at most `seconds`; true when it ended in time, with its wait status.
bool WaitFor(pid_t pid, double seconds, int* status);

// A folder with an archive "model.entro" and a mount point "mnt". Skips the test where FUSE does not work. Whatever is
// mounted at the end is unmounted.
class MountTest : public testing::Test {
 protected:
  MountTest();
  ~MountTest() override;
  void SetUp() override;

  // Writes the archive and mounts it in the background.
  void Mount(const std::vector<SampleFile>& files, const std::vector<std::string>& more_args = {});
  // Mounts the archive again, or whatever lies there now.
  Outcome MountAgain(const std::vector<std::string>& more_args = {});
  // Mounts the archive with that engine and more; skips the test where this machine or user cannot.
  void MountWithEngine(const std::string& engine, const std::vector<std::string>& more_args = {});
  // A counter or the pid of the mount's daemon, by `entrofs status --json`.
  uint64_t StatusNumber(const std::string& name);

  std::string Path(const std::string& file) const { return (mount_point_ / file).string(); }
  // The bytes of a mounted file by plain read(2).
  static Bytes ReadFile(const std::string& path);
  // errno of reading a few bytes there without read-ahead, 0 when they came.
  static int ErrorOfRead(const std::string& path, off_t offset);

  TestFolder folder_;
  const std::filesystem::path archive_;
  const std::filesystem::path mount_point_;
};

}  // namespace entrofs::fs
