// Archives of released versions stay readable, and the same input still gives the same bytes.

#include <gtest/gtest.h>
#include <zstd.h>

#include <algorithm>
#include <sstream>

#include "base/file.h"
#include "tests/golden/golden_samples.h"

namespace entrofs::golden {
namespace {

const std::string kFolder = std::string(ENTROFS_SOURCE_DIR) + "/tests/golden";

class Golden : public testing::TestWithParam<size_t> {
 protected:
  const GoldenSample golden_ = GoldenSamples()[GetParam()];
  testing_support::Bytes ArchiveBytes() const {
    auto text = ReadWholeFile(kFolder + "/" + golden_.name + ".entro", 1 << 20);
    if (!text) return {};
    return testing_support::Bytes(text->begin(), text->end());
  }
  static std::string Expected() {
    auto text = ReadWholeFile(kFolder + "/expected.txt", 1 << 20);
    return text ? *text : "";
  }
};

TEST_P(Golden, HoldsWhatItWasMadeOf) {
  auto reader = testing_support::Open(ArchiveBytes());
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  auto contents = testing_support::ReadAll(**reader);
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  const testing_support::Sample sample = golden_.make();
  EXPECT_EQ(contents->size(), sample.files.size());
  for (const auto& file : sample.files) EXPECT_TRUE((*contents)[file.path] == file.Content()) << file.path;
}

TEST_P(Golden, HasTheHashesOnRecord) {
  auto reader = testing_support::Open(ArchiveBytes());
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  for (const archive::VirtualFile& file : (*reader)->index().files) {
    std::string line = golden_.name + " " + std::to_string(file.size_bytes) + " " + ToHex(file.hash) + " " + file.path;
    EXPECT_NE(Expected().find("\n" + line + "\n"), std::string::npos) << line;
  }
}

TEST_P(Golden, IsMadeAgainByteForByte) {
  if (Expected().find(std::string(" zstd ") + ZSTD_versionString() + "\n") == std::string::npos) {
    GTEST_SKIP() << "the archives on record were made with another libzstd than the " << ZSTD_versionString()
                 << " here, which may compress otherwise: run where libzstd is the version in expected.txt";
  }
  EXPECT_TRUE(testing_support::Pack(golden_.make()) == ArchiveBytes())
      << "the encoder changed: if that is meant and the archive on record is still read, build the target "
         "update-golden";
}

INSTANTIATE_TEST_SUITE_P(Archives, Golden, testing::Range<size_t>(0, GoldenSamples().size()), [](const auto& p) {
  std::string name = GoldenSamples()[p.param].name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace entrofs::golden
