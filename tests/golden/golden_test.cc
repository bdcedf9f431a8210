// Archives of released versions stay readable, and the same input still gives the same bytes.

#include <gtest/gtest.h>
#include <zstd.h>

#include <algorithm>
#include <sstream>

#include "base/file.h"
#include "tests/golden/golden_samples.h"
#include "view/view_reader.h"

namespace entrofs::golden {
namespace {

const std::string kFolder = std::string(ENTROFS_SOURCE_DIR) + "/tests/golden";

class Golden : public testing::TestWithParam<size_t> {
 protected:
  // Calls use(view, file, path as in expected.txt) for every file of every view.
  template <typename Use>
  static void ForEachFile(const archive::ArchiveReader& reader, const Use& use) {
    std::vector<std::string> names = view::ViewNames(reader.index());
    if (names.empty()) names = {""};
    for (const std::string& name : names) {
      auto view = view::ViewReader::Open(reader, name);
      ASSERT_TRUE(view.ok()) << view.error().message;
      for (const view::File& file : (*view)->files()) {
        use(**view, file, (name.empty() ? "" : name + ":") + file.path);
      }
    }
  }
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
  std::map<std::string, testing_support::Bytes> wanted;
  for (auto& [path, content] : ContentsOf(golden_.make())) wanted[path] = std::move(content);
  size_t files = 0;
  ForEachFile(**reader, [&](const view::ViewReader& view, const view::File& file, const std::string& path) {
    testing_support::Bytes content(file.size_bytes);
    view::ViewReader::Scratch scratch;
    const Status status = view.ReadRange(file, 0, scratch, content);
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_TRUE(wanted.contains(path) && content == wanted[path]) << path;
    StreamHash128 hash;
    hash.Update(content);
    EXPECT_EQ(hash.Digest(), file.hash) << path;
    ++files;
  });
  EXPECT_EQ(files, wanted.size());
}

TEST_P(Golden, HasTheHashesOnRecord) {
  auto reader = testing_support::Open(ArchiveBytes());
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  ForEachFile(**reader, [&](const view::ViewReader&, const view::File& file, const std::string& path) {
    std::string line = golden_.name + " " + std::to_string(file.size_bytes) + " " + ToHex(file.hash) + " " + path;
    EXPECT_NE(Expected().find("\n" + line + "\n"), std::string::npos) << line;
  });
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
