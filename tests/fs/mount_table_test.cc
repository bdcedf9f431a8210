#include "fs/mount_table.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace entrofs::fs {
namespace {

constexpr char kMountInfo[] =
    "22 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:13 - proc proc rw\n"
    "28 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "90 28 0:55 / /mnt/a\\040b ro,nosuid - fuse.entrofs entrofs ro,user_id=0\n"
    "91 90 0:56 / /mnt/a\\040b ro shared:7 master:2 - erofs none ro\n"
    "nonsense\n";

TEST(MountTable, FindsTheUppermostMount) {
  auto entry = FindMountIn(kMountInfo, "/mnt/a b");
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->type, "erofs");
  EXPECT_EQ(entry->source, "none");
  EXPECT_EQ(FindMountIn(kMountInfo, "/")->type, "ext4");
}

TEST(MountTable, OnlyExactlyThatFolderCounts) {
  EXPECT_FALSE(FindMountIn(kMountInfo, "/mnt").has_value());
  EXPECT_FALSE(FindMountIn(kMountInfo, "/mnt/a b/c").has_value());
  EXPECT_FALSE(FindMountIn("", "/").has_value());
}

TEST(MountTable, KnowsThisMachine) { EXPECT_TRUE(FindMount("/proc").has_value()); }

TEST(MountTable, MountsHaveNumbersOfTheirOwn) {
  std::optional<uint64_t> here = MountIdAt("/proc");
  if (!here) GTEST_SKIP() << "this kernel does not tell the number of a mount: needs Linux 6.8 or newer";
  EXPECT_EQ(MountIdAt("/proc/self"), here);
  EXPECT_NE(MountIdAt("/"), here);
  EXPECT_FALSE(MountIdAt("/no-such-folder").has_value());
}

TEST(ResolveMountPoint, FollowsLinksAndDropsSlashes) {
  std::filesystem::path here = std::filesystem::canonical(std::filesystem::temp_directory_path());
  EXPECT_EQ(ResolveMountPoint(here.string() + "/"), here.string());
  EXPECT_EQ(ResolveMountPoint(here.string() + "/no-such-folder/"), (here / "no-such-folder").string());
  EXPECT_EQ(ResolveMountPoint("/proc/self/cwd"), std::filesystem::current_path().string());
}

}  // namespace
}  // namespace entrofs::fs
