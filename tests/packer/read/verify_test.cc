#include "packer/read/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "packer/pack/pack.h"
#include "tests/support/craft_archive.h"
#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::packer::read {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing_support::ReadFile;
using testing_support::SafetensorsFile;
using testing_support::TemporaryFolder;
using testing_support::Weights;
using testing_support::WriteFile;

class Verify : public testing::Test {
 protected:
  void SetUp() override {
    WriteFile(source_ + "/model.safetensors",
              SafetensorsFile({Weights("first.weight", source::Dtype::kBf16, {256, 128}, 1),
                               Weights("second.weight", source::Dtype::kBf16, {256, 128}, 2)}));
    WriteFile(source_ + "/config.json", "{}");
    Result<source::Checkpoint> checkpoint = source::OpenCheckpoint(source_);
    ASSERT_TRUE(checkpoint.ok());
    ASSERT_TRUE(pack::Pack(tree::LosslessTree(*checkpoint), archive_, {}, pool_, progress_).ok());
  }

  std::vector<std::string> Problems() {
    std::vector<std::string> problems;
    auto reader = OpenArchive(archive_);
    if (!reader) return {reader.error().message};
    size_t count = FindProblems(**reader, pool_, progress_, [&](const std::string& p) { problems.push_back(p); });
    EXPECT_EQ(count, problems.size());
    return problems;
  }

  std::vector<std::string> Differences() {
    std::vector<std::string> problems;
    auto reader = OpenArchive(archive_);
    if (!reader) return {reader.error().message};
    auto count =
        FindDifferences(**reader, source_, pool_, progress_, [&](const std::string& p) { problems.push_back(p); });
    if (!count) return {count.error().message};
    return problems;
  }

  // Where the stored bytes of the extent of this name begin.
  uint64_t PlaceOf(const std::string& name) {
    auto reader = OpenArchive(archive_);
    for (const archive::VirtualFile& file : (*reader)->index().files) {
      for (const archive::Extent& extent : file.extents) {
        if (extent.name == name) return (*reader)->FindSegment(extent, 0)->archive_offset;
      }
    }
    return 0;
  }

  void FlipByte(uint64_t at) {
    std::string bytes = ReadFile(archive_);
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    WriteFile(archive_, bytes);
  }

  TemporaryFolder folder_;
  const std::string source_ = folder_.Path("source");
  const std::string archive_ = folder_.Path("a.entro");
  ThreadPool pool_{2};
  NoProgress progress_;
};

TEST_F(Verify, FindsNothingInASoundArchive) {
  EXPECT_THAT(Problems(), IsEmpty());
  EXPECT_THAT(Differences(), IsEmpty());
  EXPECT_TRUE(VerifyArchive(archive_, pool_, progress_).ok());
}

TEST_F(Verify, NamesEveryBrokenTensor) {
  FlipByte(PlaceOf("first.weight") + 50);
  FlipByte(PlaceOf("second.weight") + 50);
  EXPECT_THAT(Problems(), ElementsAre(AllOf(HasSubstr("model.safetensors"), HasSubstr("first.weight")),
                                      AllOf(HasSubstr("model.safetensors"), HasSubstr("second.weight"))));
  Status status = VerifyArchive(archive_, pool_, progress_);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("first.weight"));
  EXPECT_THAT(Differences(), ElementsAre(HasSubstr("first.weight")));
}

TEST_F(Verify, FindsEveryDifferenceToTheSource) {
  std::string model = ReadFile(source_ + "/model.safetensors");
  model.back() = static_cast<char>(model.back() ^ 1);
  WriteFile(source_ + "/model.safetensors", model);
  WriteFile(source_ + "/config.json", "{ }");
  WriteFile(source_ + "/more.txt", "");
  std::filesystem::create_directories(source_ + "/empty");
  EXPECT_THAT(Differences(),
              ElementsAre(HasSubstr("config.json: has 2 bytes, the source has 3"),
                          HasSubstr("differs from the source at byte " + std::to_string(model.size() - 1)),
                          HasSubstr("more.txt: is not in the archive"), HasSubstr("empty directories")));
  std::filesystem::remove(source_ + "/config.json");
  EXPECT_THAT(Differences()[0], HasSubstr("config.json: is not in the source"));
}

TEST_F(Verify, NeverTakesAFlippedBitForTheTruth) {
  const std::string sound = ReadFile(archive_);
  // Every bit of the ends, where the structures are; one bit of every 397th byte between.
  for (size_t at = 0; at < sound.size(); at += at < 200 || at + 1500 > sound.size() ? 1 : 397) {
    std::string bytes = sound;
    bytes[at] = static_cast<char>(bytes[at] ^ 1 << at % 8);
    WriteFile(archive_, bytes);
    ASSERT_FALSE(Problems().empty()) << "byte " << at;
  }
}

TEST_F(Verify, ComparesTheHashOfEachWholeFile) {
  const std::string sound = ReadFile(archive_);
  const testing_support::Bytes bytes(sound.begin(), sound.end());
  archive::Index index = (*OpenArchive(archive_))->index();
  // Every checksum is right; a file that lost an extent to another of the same length would look like this.
  index.files[1].hash[0] ^= 1;
  WriteFile(archive_, std::string(AsText(testing_support::WithIndex(bytes, index))));
  EXPECT_THAT(Problems(), ElementsAre("model.safetensors: content does not match the hash in the index"));
  EXPECT_THAT(Differences(), ElementsAre(HasSubstr("does not match the hash in the index")));
}

TEST_F(Verify, RefusesTruncation) {
  const std::string sound = ReadFile(archive_);
  for (size_t length = 0; length<sound.size(); length += length + 300> sound.size() ? 1 : 211) {
    WriteFile(archive_, sound.substr(0, length));
    ASSERT_FALSE(OpenArchive(archive_).ok()) << length;
  }
}

}  // namespace
}  // namespace entrofs::packer::read
