#include "fs/virtual_fs.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tests/fs/test_archive.h"

namespace entrofs::fs {
namespace {

// A file whose reads can be made to fail.
class FailingFile : public RandomAccessFile {
 public:
  explicit FailingFile(std::unique_ptr<RandomAccessFile> file) : file_(std::move(file)) {}
  Status ReadAt(uint64_t offset, MutableByteSpan out) const override {
    if (fails) return Error{ErrorCode::kIo, "disk on fire"};
    return file_->ReadAt(offset, out);
  }
  uint64_t size() const override { return file_->size(); }
  std::atomic<bool> fails{false};

 private:
  std::unique_ptr<RandomAccessFile> file_;
};

class VirtualFsTest : public testing::Test {
 protected:
  void Open(const std::vector<SampleFile>& files, VirtualFs::Options options = {.cache_bytes = 1 << 20, .threads = 2}) {
    std::filesystem::path path = folder_.path() / "test.entro";
    if (!files.empty()) {
      ASSERT_NO_FATAL_FAILURE(WriteArchive(path, files));
    }
    auto file = OpenForReading(path.string());
    ASSERT_TRUE(file.ok());
    auto failing = std::make_unique<FailingFile>(std::move(*file));
    file_ = failing.get();
    auto reader = archive::ArchiveReader::Open(std::move(failing), "test.entro");
    ASSERT_TRUE(reader.ok()) << reader.error().message;
    auto files_or = VirtualFs::Create(std::move(*reader), options);
    ASSERT_TRUE(files_or.ok()) << files_or.error().message;
    files_ = std::move(*files_or);
  }

  InodeNumber Inode(const std::string& name) const { return files_->tree().FindChild(kRootInode, name)->inode; }

  Bytes Read(const std::string& name, uint64_t offset, size_t length) {
    auto reply = files_->Read(Inode(name), offset, length);
    EXPECT_TRUE(reply.ok()) << reply.error().message;
    Bytes bytes;
    if (!reply.ok()) return bytes;
    for (ByteSpan part : reply->parts()) bytes.insert(bytes.end(), part.begin(), part.end());
    EXPECT_EQ(bytes.size(), reply->size());
    return bytes;
  }

  static Bytes Slice(const Bytes& bytes, uint64_t offset, uint64_t length) {
    uint64_t begin = std::min<uint64_t>(offset, bytes.size());
    uint64_t end = std::min<uint64_t>(begin + length, bytes.size());
    return {bytes.begin() + static_cast<ptrdiff_t>(begin), bytes.begin() + static_cast<ptrdiff_t>(end)};
  }

  uint64_t Count(Counter counter) const { return files_->counters()[static_cast<size_t>(counter)]; }

  TestFolder folder_;
  FailingFile* file_ = nullptr;
  std::unique_ptr<VirtualFs> files_;
};

TEST_F(VirtualFsTest, AnyRangeGivesTheBytesOfTheFile) {
  SampleFile model = ModelFile("model", 4, 200'000, 64 << 10);
  Bytes content = model.Content();
  Open({model});
  std::mt19937_64 random(5);
  for (size_t length : {size_t{1}, size_t{4096}, size_t{65536}, size_t{300'000}, size_t{1} << 20}) {
    for (int i = 0; i < 20; ++i) {
      uint64_t offset = random() % content.size();
      ASSERT_EQ(Read("model", offset, length), Slice(content, offset, length)) << offset << "+" << length;
    }
  }
}

TEST_F(VirtualFsTest, EveryCodecIsRead) {
  SampleFile file{.path = "all", .extents = {}};
  for (auto kind :
       {codec::CodecKind::kStored, codec::CodecKind::kTans, codec::CodecKind::kHuffman, codec::CodecKind::kZstd}) {
    file.extents.push_back(Tensor(std::string(codec::Name(kind)), 70'001, 64 << 10, kind));
  }
  Open({file});
  EXPECT_EQ(Read("all", 0, 1 << 20), file.Content());
}

TEST_F(VirtualFsTest, ReadsAreShortAtTheEndOnly) {
  SampleFile model = ModelFile("model", 1, 100'000, 64 << 10);
  uint64_t size = model.Content().size();
  Open({model});
  EXPECT_EQ(Read("model", size - 10, 4096).size(), 10u);
  EXPECT_TRUE(Read("model", size, 4096).empty());
  EXPECT_TRUE(Read("model", size + (uint64_t{1} << 62), 4096).empty());
  EXPECT_TRUE(Read("model", 0, 0).empty());
}

TEST_F(VirtualFsTest, EmptyFilesAndExtentsAreRead) {
  SampleFile empty{.path = "empty", .extents = {}};
  SampleFile holes = ModelFile("holes", 2, 1000, 64 << 10);
  holes.extents.insert(holes.extents.begin() + 1, Tensor("nothing", 0));
  Open({empty, holes});
  EXPECT_TRUE(Read("empty", 0, 100).empty());
  EXPECT_EQ(Read("holes", 0, 1 << 20), holes.Content());
}

TEST_F(VirtualFsTest, ManyTinyExtentsMakeFewParts) {
  SampleFile file{.path = "tiny", .extents = {}};
  for (int i = 0; i < 3000; ++i) {
    file.extents.push_back(Tensor("t" + std::to_string(i), 5, 64 << 10, codec::CodecKind::kStored));
  }
  Open({file});
  EXPECT_EQ(Read("tiny", 2, 1 << 20), Slice(file.Content(), 2, 1 << 20));
  auto reply = files_->Read(Inode("tiny"), 2, 1 << 20);
  ASSERT_TRUE(reply.ok());
  EXPECT_LE(reply->parts().size(), 128u);
}

TEST_F(VirtualFsTest, DecodesExactlyTheSegmentsTouched) {
  SampleFile model{.path = "model", .extents = {Tensor("t", 1 << 20, 64 << 10)}};
  Open({model});
  (void)Read("model", 100'000, 10);
  EXPECT_EQ(Count(Counter::kSegmentsDecoded), 1u);
  (void)Read("model", 65'536, 20);  // the same segment
  EXPECT_EQ(Count(Counter::kSegmentsDecoded), 1u);
  EXPECT_EQ(Count(Counter::kCacheHits), 1u);
  (void)Read("model", 0, 200'000);  // 0, 1 (cached), 2 and a part of 3
  EXPECT_EQ(Count(Counter::kSegmentsDecoded), 4u);
  EXPECT_EQ(Count(Counter::kReads), 3u);
  EXPECT_EQ(Count(Counter::kReadBytes), 200'030u);
}

TEST_F(VirtualFsTest, SharedBytesAreDecodedOnceForBothFiles) {
  SampleFile first = ModelFile("first", 1, 50'000, 64 << 10);
  SampleFile second = first;
  second.path = "second";
  second.extents[1].same_as = first.extents[1].name;
  Open({first, second});
  (void)Read("first", 5000, 100);
  EXPECT_EQ(Read("second", 5000, 100), Slice(second.Content(), 5000, 100));
  EXPECT_EQ(Count(Counter::kSegmentsDecoded), 1u);
}

TEST_F(VirtualFsTest, ACorruptSegmentFailsItsReadsOnly) {
  SampleFile model = ModelFile("model", 2, 200'000, 64 << 10);
  std::filesystem::path path = folder_.path() / "test.entro";
  WriteArchive(path, {model});
  FlipBit(path, FindStored(path, "model:tensor.0", 1).archive_offset + 20);
  Open({});
  auto bad = files_->Read(Inode("model"), kModelHeaderBytes + 65536 + 7, 100);
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(bad.error().message.find("model:tensor.0"), std::string::npos) << bad.error().message;
  EXPECT_FALSE(files_->Read(Inode("model"), 0, 1 << 20).ok());
  EXPECT_EQ(Count(Counter::kReadErrors), 2u);
  Bytes content = model.Content();
  EXPECT_EQ(Read("model", 0, kModelHeaderBytes + 65536), Slice(content, 0, kModelHeaderBytes + 65536));
  EXPECT_EQ(Read("model", kModelHeaderBytes + 131072, 1 << 20), Slice(content, kModelHeaderBytes + 131072, 1 << 20));
}

TEST_F(VirtualFsTest, AFailingDiskFailsReadsUntilItRecovers) {
  SampleFile model = ModelFile("model", 1, 300'000, 64 << 10);
  Open({model});
  file_->fails = true;
  auto failed = files_->Read(Inode("model"), 0, 300'000);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::kIo);
  file_->fails = false;
  EXPECT_EQ(Read("model", 0, 1 << 20), model.Content());
}

TEST_F(VirtualFsTest, FoldersAndUnknownInodesAreNotRead) {
  Open({ModelFile("model", 1, 1000, 64 << 10)});
  EXPECT_FALSE(files_->Read(kRootInode, 0, 10).ok());
  EXPECT_FALSE(files_->Read(77, 0, 10).ok());
}

TEST_F(VirtualFsTest, ManyReadersAtOnceSeeTheRightBytes) {
  SampleFile model = ModelFile("model", 3, 300'000, 64 << 10);
  Bytes content = model.Content();
  Open({model}, {.cache_bytes = 200'000, .threads = 3});
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (unsigned t = 0; t < 8; ++t) {
    readers.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < 50; ++i) {
        uint64_t offset = random() % content.size();
        uint64_t length = random() % 400'000;
        wrong += Read("model", offset, length) != Slice(content, offset, length);
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(VirtualFsTest, SweepsOverMoreThanTheCacheHitHalfOfItWithTheScanPolicy) {
  SampleFile model{.path = "model", .extents = {Tensor("t", 64 * (64 << 10), 64 << 10)}};
  Open({model}, {.cache_bytes = 32 * (64 << 10), .cache_policy = CachePolicyKind::kScan, .threads = 1});
  Bytes content = model.Content();
  for (int sweep = 0; sweep < 6; ++sweep) {
    for (size_t offset = 0; offset < content.size(); offset += 1 << 20) {
      ASSERT_EQ(Read("model", offset, 1 << 20), Slice(content, offset, 1 << 20));
    }
  }
  EXPECT_GE(Count(Counter::kCacheHits), 5u * 64 * 45 / 100);
}

TEST_F(VirtualFsTest, WorksWithoutCacheAndWithOneThread) {
  SampleFile model = ModelFile("model", 2, 150'000, 64 << 10);
  Open({model}, {.cache_bytes = 0, .threads = 1});
  EXPECT_EQ(Read("model", 0, 1 << 20), model.Content());
  EXPECT_EQ(Read("model", 70'000, 10), Slice(model.Content(), 70'000, 10));
  EXPECT_EQ(Count(Counter::kCacheBytes), 0u);
}

}  // namespace
}  // namespace entrofs::fs
