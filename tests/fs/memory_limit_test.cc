#include "fs/memory_limit.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/fs/test_archive.h"

namespace entrofs::fs {
namespace {

// Files like those of the kernel, in a folder.
class MemoryLimitTest : public testing::Test {
 protected:
  MemoryLimitTest()
      : places_{.proc = (folder_.path() / "proc").string(), .cgroups = (folder_.path() / "cgroups").string()} {}

  void Put(const std::string& path, const std::string& text) {
    std::filesystem::path whole = folder_.path() / path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }

  TestFolder folder_;
  const MemoryPlaces places_;
};

TEST_F(MemoryLimitTest, TheLowestLimitOnTheWayUpCounts) {
  Put("proc/self/cgroup", "0::/user/model\n");
  Put("proc/meminfo", "MemTotal:        8000000 kB\nMemAvailable:    4000000 kB\n");
  EXPECT_EQ(MemoryLimitBytes(places_), std::nullopt);
  Put("cgroups/user/model/memory.max", "max\n");
  EXPECT_EQ(MemoryLimitBytes(places_), std::nullopt);
  Put("cgroups/user/memory.max", "268435456\n");
  EXPECT_EQ(MemoryLimitBytes(places_), 256u << 20);
  Put("cgroups/user/model/memory.max", "536870912\n");
  EXPECT_EQ(MemoryLimitBytes(places_), 256u << 20);
  Put("cgroups/user/model/memory.max", "1048576\n");
  EXPECT_EQ(MemoryLimitBytes(places_), 1u << 20);
}

TEST_F(MemoryLimitTest, VersionOneIsUnderstood) {
  Put("proc/self/cgroup", "7:cpu,cpuacct:/x\n4:memory:/model\n0::/\n");
  Put("proc/meminfo", "MemTotal:        8000000 kB\n");
  Put("cgroups/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(MemoryLimitBytes(places_), std::nullopt);
  Put("cgroups/memory/model/memory.limit_in_bytes", "1073741824\n");
  EXPECT_EQ(MemoryLimitBytes(places_), 1u << 30);
}

TEST_F(MemoryLimitTest, AvailableIsWhatTheGroupLeavesPageCacheNotCounted) {
  Put("proc/self/cgroup", "0::/model\n");
  EXPECT_EQ(AvailableMemoryBytes(places_), std::nullopt);
  Put("proc/meminfo", "MemTotal:        8000000 kB\nMemAvailable:    1000 kB\n");
  EXPECT_EQ(AvailableMemoryBytes(places_), 1'024'000u);
  Put("cgroups/model/memory.max", "1000000\n");
  Put("cgroups/model/memory.current", "700000\n");
  Put("cgroups/model/memory.stat", "anon 100\ninactive_file 300000\nactive_file 100000\n");
  EXPECT_EQ(AvailableMemoryBytes(places_), 700'000u);
  Put("cgroups/model/memory.current", "2000000\n");
  EXPECT_EQ(AvailableMemoryBytes(places_), 0u);
}

TEST_F(MemoryLimitTest, AvailableIsWhatAKernelThatKeepsItsPromisesMayStillPromise) {
  Put("proc/meminfo", "MemAvailable:    1000 kB\nCommitLimit:     900 kB\nCommitted_AS:    700 kB\n");
  Put("proc/sys/vm/overcommit_memory", "1\n");
  EXPECT_EQ(AvailableMemoryBytes(places_), 1'024'000u);
  Put("proc/sys/vm/overcommit_memory", "2\n");
  EXPECT_EQ(AvailableMemoryBytes(places_), 200u * 1024);
  Put("proc/meminfo", "MemAvailable:    1000 kB\nCommitLimit:     900 kB\nCommitted_AS:    950 kB\n");
  EXPECT_EQ(AvailableMemoryBytes(places_), 0u);
}

TEST_F(MemoryLimitTest, StallsOfTheGroupAreTakenWhereTheKernelKeepsThem) {
  Put("proc/self/cgroup", "0::/model\n");
  EXPECT_EQ(MemoryStallMicroseconds(places_), std::nullopt);
  const std::string tail = "\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=99\n";
  Put("proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1234" + tail);
  EXPECT_EQ(MemoryStallMicroseconds(places_), 1234u);
  Put("cgroups/model/memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=77" + tail);
  EXPECT_EQ(MemoryStallMicroseconds(places_), 77u);
}

TEST(MemoryLimit, ThisMachineAnswers) {
  EXPECT_GT(AvailableMemoryBytes().value_or(0), 1u << 20);
  std::optional<uint64_t> limit = MemoryLimitBytes();
  EXPECT_TRUE(!limit || *limit > 1u << 20);
}

}  // namespace
}  // namespace entrofs::fs
