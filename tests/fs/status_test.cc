#include "fs/status.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace entrofs::fs {
namespace {

MountStatus Sample() {
  MountStatus status;
  status.facts = {{"archive", "/a \"b\"\\c.entro"}, {"pid", "12"}};
  status.counters = {{"reads", 3}, {"read_bytes", uint64_t{1} << 63}};
  return status;
}

TEST(Status, SurvivesItsWayThroughTheAttribute) {
  auto status = DecodeStatus(EncodeStatus(Sample()));
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status->facts, Sample().facts);
  EXPECT_EQ(status->counters, Sample().counters);
}

TEST(Status, LineEndsInPathsDoNotForgeFields) {
  MountStatus status;
  status.facts = {{"archive", "/a\nreads\t7\n\n.entro"}};
  auto decoded = DecodeStatus(EncodeStatus(status));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->facts.size(), 1u);
  EXPECT_TRUE(decoded->counters.empty());
}

TEST(Status, WhatIsNotANumberIsRefused) { EXPECT_FALSE(DecodeStatus("\nreads\tmany\n").ok()); }

TEST(Status, JsonIsOneFlatObject) {
  auto json = nlohmann::json::parse(StatusAsJson(Sample()));
  EXPECT_EQ(json["archive"], "/a \"b\"\\c.entro");
  EXPECT_EQ(json["reads"], 3);
  EXPECT_EQ(json["read_bytes"], uint64_t{1} << 63);
}

TEST(Status, TextExplainsEveryCounter) {
  std::string text = StatusAsText(Sample());
  EXPECT_NE(text.find("read requests of the kernel"), std::string::npos);
  EXPECT_NE(text.find("9223372036854775808"), std::string::npos);
}

TEST(Status, OrdinaryFoldersHaveNone) {
  auto status = ReadStatus("/proc");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace entrofs::fs
