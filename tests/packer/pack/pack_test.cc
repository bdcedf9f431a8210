#include "packer/pack/pack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "packer/read/extract.h"
#include "packer/read/verify.h"
#include "tests/support/resident_memory.h"
#include "tests/support/sample_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace entrofs::packer::pack {
namespace {

using testing::HasSubstr;
using testing_support::Difference;
using testing_support::ReadFile;
using testing_support::SafetensorsFile;
using testing_support::TemporaryFolder;
using testing_support::Weights;
using testing_support::WriteFile;
using testing_support::WriteLlama;

Result<PackResult> PackFolder(const std::string& source, const std::string& output, const PackOptions& options = {},
                              size_t threads = 2) {
  ENTROFS_ASSIGN_OR_RETURN(source::Checkpoint checkpoint, source::OpenCheckpoint(source));
  ThreadPool pool(threads);
  read::NoProgress progress;
  return Pack(tree::LosslessTree(checkpoint), output, options, pool, progress);
}

// Extracts `archive` and says what differs from `source`.
std::string RoundTripDifference(const std::string& archive, const std::string& source, const std::string& target) {
  Result<std::unique_ptr<archive::ArchiveReader>> reader = read::OpenArchive(archive);
  if (!reader) return reader.error().message;
  ThreadPool pool(2);
  read::NoProgress progress;
  Status status = read::Extract(**view::ViewReader::Open(**reader, ""), target, pool, progress);
  if (!status) return status.error().message;
  return Difference(source, target);
}

TEST(Pack, CountsTablesAsTheyLieInTheFile) {
  TemporaryFolder folder;
  // Each with a table of its own, all alike, so that they take little in the compressed index.
  std::vector<testing_support::SampleTensor> tensors;
  for (int i = 0; i < 60; ++i) {
    tensors.push_back(Weights("t" + std::to_string(i), source::Dtype::kBf16, {64, 1040 + static_cast<uint64_t>(i)}, 7));
  }
  WriteFile(folder.Path("source") + "/model.safetensors", SafetensorsFile(tensors));
  Result<PackResult> result = PackFolder(folder.Path("source"), folder.Path("archive"));
  ASSERT_TRUE(result.ok());
  uint64_t counted = result->report.other_archive_bytes;
  for (const report::TensorReport& tensor : result->report.tensors) counted += tensor.archive_bytes;
  // The report, names and places, header and footer come on top.
  EXPECT_LT(counted + 500, result->archive_bytes);
  EXPECT_GT(counted + 20'000, result->archive_bytes);
}

TEST(Pack, GivesBackEveryByteOfEveryKindOfFile) {
  TemporaryFolder folder;
  const std::string source = folder.Path("source");
  WriteLlama(source, source::Dtype::kBf16, true);
  WriteFile(source + "/empty", "");
  WriteFile(source + "/sub/dir/text.txt", std::string(100'000, 'x'));
  std::filesystem::create_directories(source + "/nothing/here");
  std::vector<testing_support::SampleTensor> tensors;
  for (size_t i = 0; i < source::kDtypeCount; ++i) {
    source::Dtype dtype = static_cast<source::Dtype>(i);
    testing_support::SampleTensor tensor =
        Weights(std::string(Name(dtype)), source::Dtype::kF32, {512 * source::BitWidth(dtype)}, 7);
    tensor.dtype = dtype;
    tensor.shape = {8 * tensor.bytes.size() / source::BitWidth(dtype)};
    tensors.push_back(tensor);
  }
  tensors.push_back({"scalar", source::Dtype::kF32, {}, "abcd"});
  tensors.push_back({"none", source::Dtype::kF32, {0, 7}, ""});
  tensors.push_back({"odd name \xc3\xa9", source::Dtype::kU8, {1}, "x"});
  WriteFile(source + "/all.safetensors", SafetensorsFile(tensors));
  WriteFile(source + "/no-tensors.safetensors", SafetensorsFile({}));

  for (CodecChoice codec :
       {CodecChoice::kAuto, CodecChoice::kAutoEdge, CodecChoice::kTans, CodecChoice::kHuffman, CodecChoice::kStored}) {
    for (bool shared : {false, true}) {
      const std::string name(Name(codec));
      SCOPED_TRACE(name + (shared ? ", one table" : ""));
      const std::string archive = folder.Path(name + ".entro");
      Result<PackResult> result =
          PackFolder(source, archive, {.codec = codec, .one_table_per_archive = shared, .segment_bytes = 64 << 10});
      ASSERT_TRUE(result.ok()) << result.error().message;
      EXPECT_EQ(result->archive_bytes, std::filesystem::file_size(archive));
      EXPECT_EQ(RoundTripDifference(archive, source, folder.Path(name + std::to_string(shared))), "");
    }
  }
}

TEST(Pack, IsTheSameForAnyNumberOfThreads) {
  TemporaryFolder folder;
  WriteLlama(folder.Path("source"), source::Dtype::kF32, true);
  WriteFile(folder.Path("source/large.safetensors"),
            SafetensorsFile({Weights("w", source::Dtype::kBf16, {1500, 1024}, 3)}));
  ASSERT_TRUE(PackFolder(folder.Path("source"), folder.Path("1"), {}, 1).ok());
  ASSERT_TRUE(PackFolder(folder.Path("source"), folder.Path("5"), {}, 5).ok());
  EXPECT_TRUE(ReadFile(folder.Path("1")) == ReadFile(folder.Path("5")));
}

TEST(Pack, StoresDuplicatesOnce) {
  TemporaryFolder folder;
  testing_support::SampleTensor weights = Weights("a", source::Dtype::kBf16, {512, 512}, 1);
  WriteFile(folder.Path("one/model.safetensors"), SafetensorsFile({weights}));
  std::vector<testing_support::SampleTensor> twice = {weights, weights};
  twice[1].name = "b";
  WriteFile(folder.Path("two/model.safetensors"), SafetensorsFile(twice));
  WriteFile(folder.Path("two/again.safetensors"), SafetensorsFile({weights}));
  Result<PackResult> one = PackFolder(folder.Path("one"), folder.Path("one.entro"));
  Result<PackResult> two = PackFolder(folder.Path("two"), folder.Path("two.entro"));
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_LT(two->archive_bytes, one->archive_bytes + 2000);
  EXPECT_EQ(two->report.tensors[2].archive_bytes, 0u);
  EXPECT_EQ(RoundTripDifference(folder.Path("two.entro"), folder.Path("two"), folder.Path("out")), "");
}

TEST(Pack, ReportsEveryTensorAndTheirSizesAddUp) {
  TemporaryFolder folder;
  WriteLlama(folder.Path("source"), source::Dtype::kBf16, false);
  Result<PackResult> result = PackFolder(folder.Path("source"), folder.Path("a.entro"));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->report.tensors.size(), 21u);
  uint64_t plain = result->report.other_plain_bytes;
  uint64_t archived = result->report.other_archive_bytes;
  for (const report::TensorReport& tensor : result->report.tensors) {
    plain += tensor.plain_bytes;
    archived += tensor.archive_bytes;
    EXPECT_EQ(tensor.plain_bytes, 2 * tensor.weight_count);
    EXPECT_GT(tensor.entropy_bits, 0u);
  }
  uint64_t source_bytes = source::OpenCheckpoint(folder.Path("source"))->size_bytes();
  EXPECT_EQ(plain, source_bytes);
  EXPECT_LE(archived, result->archive_bytes);
  EXPECT_GT(archived + 4000, result->archive_bytes);
}

TEST(Pack, GrowsIncompressibleDataByLessThanAThousandth) {
  TemporaryFolder folder;
  std::string noise = Weights("w", source::Dtype::kF32, {1 << 20}, 9).bytes;
  uint64_t state = 1;
  for (char& c : noise) c = static_cast<char>((state = state * 6364136223846793005u + 1442695040888963407u) >> 56);
  WriteFile(folder.Path("source/model.safetensors"), SafetensorsFile({{"w", source::Dtype::kBf16, {1 << 21}, noise}}));
  WriteFile(folder.Path("source/file.bin"), noise.substr(1));
  Result<PackResult> result = PackFolder(folder.Path("source"), folder.Path("a.entro"));
  ASSERT_TRUE(result.ok());
  EXPECT_LT(result->archive_bytes, 2 * noise.size() + 2 * noise.size() / 1000);
}

TEST(Pack, LeavesNothingBehindOnAnError) {
  TemporaryFolder folder;
  WriteLlama(folder.Path("source"), source::Dtype::kBf16, false);
  Result<source::Checkpoint> checkpoint = source::OpenCheckpoint(folder.Path("source"));
  ASSERT_TRUE(checkpoint.ok());
  WriteFile(folder.Path("source/tokenizer.json"), "changed, and of another size");
  ThreadPool pool(2);
  read::NoProgress progress;
  Result<PackResult> result = Pack(tree::LosslessTree(*checkpoint), folder.Path("a.entro"), {}, pool, progress);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, HasSubstr("tokenizer.json: was changed"));
  EXPECT_EQ(folder.FileCount(), 1u);
}

TEST(Pack, ReportsAFolderThatIsNotThere) {
  TemporaryFolder folder;
  WriteFile(folder.Path("source/a"), "a");
  EXPECT_FALSE(PackFolder(folder.Path("source"), folder.Path("missing/a.entro")).ok());
}

TEST(Pack, NeedsLittleMemoryHoweverLargeTheTensor) {
  if (!testing_support::kMeasuresMemory) GTEST_SKIP() << testing_support::kNeedsPlainBuild;
  TemporaryFolder folder;
  // A sparse file of 600 MB that holds one tensor.
  constexpr uint64_t kTensorBytes = 600'000'000;
  std::string json = R"({"w":{"dtype":"BF16","shape":[300000000],"data_offsets":[0,600000000]}})";
  std::string header(8, '\0');
  StoreLe<uint64_t>(header.data(), json.size());
  WriteFile(folder.Path("source/model.safetensors"), header + json);
  std::filesystem::resize_file(folder.Path("source/model.safetensors"), 8 + json.size() + kTensorBytes);
  int64_t growth = testing_support::PeakMemoryGrowth(
      [&] { return PackFolder(folder.Path("source"), folder.Path("a.entro"), {.verify = false}, 4).ok(); });
  ASSERT_GE(growth, 0);
  EXPECT_LT(growth, 256 << 20);
}

}  // namespace
}  // namespace entrofs::packer::pack
