#include "fs/plain_folder.h"

#include <gtest/gtest.h>

namespace entrofs::fs {
namespace {

TEST(PlainFolder, IsTheMountPointsPathBelowRun) {
  EXPECT_EQ(PlainFolderFor("/mnt/my-model 1"), "/run/entrofs/mnt/my-model 1");
  EXPECT_EQ(PlainFolderFor("/"), "/run/entrofs");
}

TEST(PlainFolder, IsFoundByTheSourceOfAnErofsMount) {
  MountEntry ours{"/mnt/a", std::string(kErofsType), "/run/entrofs/mnt/a/.entrofs.erofs"};
  EXPECT_EQ(PlainFolderOf(ours), "/run/entrofs/mnt/a");
  EXPECT_TRUE(IsArchiveMount(ours));
}

TEST(PlainFolder, OtherMountsHaveNone) {
  for (const MountEntry& other :
       {MountEntry{"/mnt/a", "erofs", "/dev/sda1"}, MountEntry{"/mnt/a", "erofs", "/run/entrofs"},
        MountEntry{"/mnt/a", "ext4", "/run/entrofs/mnt/a/.entrofs.erofs"}}) {
    EXPECT_FALSE(PlainFolderOf(other).has_value()) << other.source;
    EXPECT_FALSE(IsArchiveMount(other)) << other.source;
  }
  EXPECT_TRUE(IsArchiveMount({"/mnt/a", std::string(kFuseType), "entrofs"}));
}

}  // namespace
}  // namespace entrofs::fs
