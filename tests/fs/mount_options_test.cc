#include "fs/mount_options.h"

#include <gtest/gtest.h>

namespace entrofs::fs {
namespace {

TEST(MountOptions, OwnOptionsAreTaken) {
  MountOptions options;
  ASSERT_TRUE(ApplyMountOptions("cache_size=64M,threads=3,allow_other,read_ahead_kb=512,max_read=65536", options).ok());
  EXPECT_EQ(options.cache_bytes, 64u << 20);
  EXPECT_EQ(options.threads, 3u);
  EXPECT_TRUE(options.allow_other);
  EXPECT_EQ(options.read_ahead_kb, 512u);
  EXPECT_EQ(options.max_read_bytes, 65536u);
  ASSERT_TRUE(ApplyMountOptions("cache_policy=scan", options).ok());
  EXPECT_EQ(options.cache_policy, CachePolicyKind::kScan);
  EXPECT_EQ(options.engine, EngineKind::kFuse);
  ASSERT_TRUE(ApplyMountOptions("engine=auto", options).ok());
  EXPECT_EQ(options.engine, EngineKind::kAuto);
  ASSERT_TRUE(ApplyMountOptions("engine=erofs", options).ok());
  EXPECT_EQ(options.engine, EngineKind::kErofs);
  ASSERT_TRUE(ApplyMountOptions("engine=memory", options).ok());
  EXPECT_EQ(options.engine, EngineKind::kMemory);
  ASSERT_TRUE(ApplyMountOptions("archive_cache=keep", options).ok());
  EXPECT_FALSE(options.drop_archive_pages);
  ASSERT_TRUE(ApplyMountOptions("archive_in_memory,fill=off", options).ok());
  EXPECT_EQ(options.archive_memory, ArchiveMemory::kYes);
  EXPECT_FALSE(options.fill_pages);
  ASSERT_TRUE(ApplyMountOptions("archive_in_memory=lock", options).ok());
  EXPECT_EQ(options.archive_memory, ArchiveMemory::kLocked);
  ASSERT_TRUE(ApplyMountOptions("noallow_other", options).ok());
  EXPECT_FALSE(options.allow_other);
}

TEST(MountOptions, SecurityIsTheDefaultAndCanBeAskedFor) {
  MountOptions options;
  EXPECT_FALSE(options.allow_other);
  EXPECT_FALSE(options.core_dumps);
  ASSERT_TRUE(ApplyMountOptions("require_signature=/etc/entrofs/key.pem,core_dumps", options).ok());
  EXPECT_EQ(options.require_signature, "/etc/entrofs/key.pem");
  EXPECT_TRUE(options.core_dumps);
  // Asking for nothing is not the same as not asking.
  EXPECT_FALSE(ApplyMountOptions("require_signature=", options).ok());
  EXPECT_FALSE(ApplyMountOptions("require_signature", options).ok());
}

TEST(MountOptions, WhatFstabSaysIsAccepted) {
  MountOptions options;
  EXPECT_TRUE(
      ApplyMountOptions("defaults,ro,nofail,_netdev,x-systemd.automount,x-systemd.idle-timeout=60", options).ok());
  EXPECT_TRUE(ApplyMountOptions("rw,,comment=weights,noexec", options).ok());
  EXPECT_EQ(options.kernel_options, std::vector<std::string>{"noexec"});
}

TEST(MountOptions, UnknownNamesAndBadValuesAreRefusedByName) {
  MountOptions options;
  for (const char* text : {"cash_size=1G", "cache_size=lots", "threads=0", "threads=x", "threads=", "max_read=1",
                           "archive_cache=x", "cache_policy=best", "engine=steam", "archive_in_memory=x", "fill=x"}) {
    Status status = ApplyMountOptions(text, options);
    ASSERT_FALSE(status.ok()) << text;
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_NE(ApplyMountOptions("cash_size=1G", options).error().message.find("cash_size"), std::string::npos);
}

TEST(MountOptions, ErrorsNameTheOptionAndWhatItTakes) {
  MountOptions options;
  const auto message = [&options](const char* text) { return ApplyMountOptions(text, options).error().message; };
  EXPECT_EQ(message("engine=steam"), "engine: 'steam' is not one of fuse|erofs|memory|auto");
  EXPECT_EQ(message("engine"), "engine needs a value: fuse|erofs|memory|auto");
  EXPECT_EQ(message("threads=0"), "threads: '0' is not a number from 1 to 1024");
}

TEST(MountOptions, EveryEntryOfTheTableIsTakenUnderItsName) {
  for (const MountOption& option : MountOptionTable()) {
    const std::string name(option.name);
    MountOptions options;
    const bool needs_value = option.takes == MountOption::Takes::kValue;
    EXPECT_EQ(ApplyMountOptions(name, options).ok(), !needs_value) << name;
    EXPECT_EQ(ApplyMountOptions("no" + name, options).ok(), option.takes == MountOption::Takes::kYesOrNo) << name;
    if (option.syntax.find('|') != std::string_view::npos) {
      const std::string first(option.syntax.substr(0, option.syntax.find('|')));
      EXPECT_TRUE(ApplyMountOptions(name + "=" + first, options).ok()) << name;
      EXPECT_FALSE(ApplyMountOptions(name + "=" + first + "x", options).ok()) << name;
    }
    EXPECT_FALSE(option.help.empty()) << name;
  }
}

}  // namespace
}  // namespace entrofs::fs
