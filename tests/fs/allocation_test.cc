// Memory behind a mount: each failed allocation fails one read, and a small archive cannot ask for much.

#include <gtest/gtest.h>

#include <chrono>
#include <functional>

#include "fs/virtual_fs.h"
#include "tests/support/allocation_faults.h"
#include "tests/support/craft_archive.h"
#include "tests/support/memory_file.h"

namespace entrofs::fs {
namespace {

using testing_support::Bytes;

testing_support::Sample TwoFiles() {
  testing_support::Sample sample;
  for (const char* path : {"a", "b"}) {
    testing_support::SampleFile file{.path = path, .extents = {}};
    file.extents.push_back({"t", testing_support::RandomBytes(150'000, 40, 1), {}, codec::CodecKind::kTans});
    file.extents.push_back({"h", testing_support::RandomBytes(70'000, 40, 2), {}, codec::CodecKind::kHuffman});
    file.extents.push_back({"z", testing_support::RandomBytes(70'000, 40, 3), {}, codec::CodecKind::kZstd});
    sample.files.push_back(std::move(file));
  }
  return sample;
}

std::unique_ptr<VirtualFs> OpenFiles(const Bytes& archive, size_t cache_bytes, size_t threads) {
  auto reader = testing_support::Open(archive);
  EXPECT_TRUE(reader.ok());
  auto files = VirtualFs::Create(std::move(*reader), {.cache_bytes = cache_bytes, .threads = threads});
  EXPECT_TRUE(files.ok());
  return std::move(*files);
}

// What a read gives; nothing when it fails.
std::optional<Bytes> ReadBytes(VirtualFs& files, const char* name, uint64_t offset, size_t length) {
  auto reply = files.Read(files.tree().FindChild(kRootInode, name)->inode, offset, length);
  if (!reply) return std::nullopt;
  Bytes bytes;
  for (ByteSpan part : reply->parts()) bytes.insert(bytes.end(), part.begin(), part.end());
  return bytes;
}

TEST(AllocationFaults, AFailedAllocationFailsThatReadAndNoOther) {
  const testing_support::Sample sample = TwoFiles();
  const Bytes archive = testing_support::Pack(sample);
  const Bytes content = sample.files[0].Content();
  // With more threads, allocations fail in those of the pool, too.
  for (auto [cache_bytes, threads] : {std::pair<size_t, size_t>{0, 1}, {1 << 20, 1}, {0, 3}, {1 << 20, 3}}) {
    uint64_t failed = 0;
    for (uint64_t at = 0;; ++at) {
      // Fresh, so that index pages, tables and buffers are loaded while allocations fail.
      std::unique_ptr<VirtualFs> files = OpenFiles(archive, cache_bytes, threads);
      const InodeNumber inode = files->tree().FindChild(kRootInode, "a")->inode;
      bool thrown = false;
      std::optional<ErrorCode> error;
      testing_support::StartAllocationFaults(at);
      try {
        auto reply = files->Read(inode, 1000, 280'000);
        if (!reply) error = reply.error().code;
      } catch (const std::bad_alloc&) {
        thrown = true;  // what the FUSE callbacks turn into ENOMEM
      }
      const bool happened = testing_support::StopAllocationFaults();
      if (error) {
        EXPECT_EQ(*error, ErrorCode::kNoMemory) << at;
      }
      if (thrown || error) ++failed;
      auto bytes = ReadBytes(*files, "a", 1000, 280'000);
      ASSERT_TRUE(bytes.has_value()) << at;
      EXPECT_TRUE(std::equal(bytes->begin(), bytes->end(), content.begin() + 1000)) << at;
      EXPECT_TRUE(ReadBytes(*files, "b", 0, 290'000).has_value()) << at;
      if (!happened) {
        EXPECT_FALSE(thrown || error);
        break;
      }
    }
    EXPECT_GT(failed, 5u);
  }
}

// Opens the archive as a mount does and reads the first bytes of each of its files.
void UseAsAMountDoes(const Bytes& archive) {
  auto reader = testing_support::Open(archive);
  if (!reader) return;
  auto files = VirtualFs::Create(std::move(*reader), {.cache_bytes = 16 << 20, .threads = 2});
  if (!files) return;
  for (InodeNumber inode = 1; inode <= (*files)->tree().size(); ++inode) (void)(*files)->Read(inode, 0, 1 << 20);
}

class SmallHostileArchive : public testing::Test {
 protected:
  // Of an archive of at most a kilobyte with this index.
  void ExpectBounded(const archive::Index& index) {
    const Bytes bytes = testing_support::WithIndex(testing_support::Pack({}), index);
    ASSERT_LE(bytes.size(), 1024u) << "not a small archive";
    ExpectBounded(bytes);
  }
  void ExpectBounded(const Bytes& bytes) {
    constexpr uint64_t kMostBytes = 64 << 20;
    const auto begin = std::chrono::steady_clock::now();
    testing_support::StartAllocationPeak();
    UseAsAMountDoes(bytes);
    EXPECT_LE(testing_support::AllocationPeak(), kMostBytes);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60)) << "spins";
    peak_ = testing_support::AllocationPeak();
  }
  uint64_t peak_ = 0;
};

// As many files as an index that unpacks from almost nothing can hold, each `depth` folders deep.
archive::Index ManyPaths(size_t count, size_t depth) {
  archive::Index index;
  for (size_t i = 0; i < count; ++i) {
    std::string path(1, static_cast<char>('0' + i / 64));
    path += static_cast<char>('0' + i % 64);
    for (size_t level = 1; level < depth; ++level) path += "/a";
    index.files.push_back({.path = path, .hash = {}, .extents = {}});
  }
  return index;
}

TEST_F(SmallHostileArchive, OfManyDeepPathsTakesLittleMemory) {
  size_t opened = 0;
  for (size_t depth : {1, 16, 100, 500, 2000}) {
    // The largest that still fits a kilobyte.
    for (size_t count = 4096; count > 0; count = count * 3 / 4) {
      const archive::Index index = ManyPaths(count, depth);
      const Bytes bytes = testing_support::WithIndex(testing_support::Pack({}), index);
      if (bytes.size() > 1024 || !testing_support::Open(bytes).ok()) continue;
      ExpectBounded(index);
      std::printf("%zu paths %zu deep: %.1f MB\n", count, depth, static_cast<double>(peak_) / 1e6);
      ++opened;
      break;
    }
  }
  EXPECT_EQ(opened, 5u);
}

TEST_F(SmallHostileArchive, OfManyEmptyExtentsTakesLittleMemory) {
  for (size_t count = 1 << 14; count > 0; count = count * 3 / 4) {
    archive::Index index;
    index.files.push_back({.path = "f", .hash = {}, .extents = {}});
    archive::Extent extent;
    extent.segment_bytes = codec::kMaxSegmentBytes;
    extent.planes.resize(1);
    index.files[0].extents.assign(count, extent);
    const Bytes bytes = testing_support::WithIndex(testing_support::Pack({}), index);
    if (bytes.size() > 1024 || !testing_support::Open(bytes).ok()) continue;
    EXPECT_GT(count, 1000u);
    return ExpectBounded(index);
  }
  FAIL() << "no such archive opens";
}

TEST_F(SmallHostileArchive, ThatSharesOneSegmentManyTimesTakesLittleMemory) {
  // One stored segment of a few bytes that stands for 4 MiB of zeroes, in as many extents as fit: terabytes to read.
  testing_support::Sample sample;
  sample.files.push_back(
      {.path = "f",
       .extents = {{.name = "t", .plain = Bytes(codec::kMaxSegmentBytes), .segment_bytes = codec::kMaxSegmentBytes}}});
  const Bytes archive = testing_support::Pack(sample);
  for (size_t count = 1 << 14; count > 0; count = count * 3 / 4) {
    archive::Index index = (*testing_support::Open(archive))->index();
    archive::VirtualFile& file = index.files[0];
    file.extents.resize(count, file.extents[0]);
    file.size_bytes = count * codec::kMaxSegmentBytes;
    const Bytes bytes = testing_support::WithIndex(archive, index);
    if (bytes.size() > 1024 || !testing_support::Open(bytes).ok()) continue;
    EXPECT_GT(count, 100u);
    return ExpectBounded(bytes);
  }
  FAIL() << "no such archive opens";
}

TEST_F(SmallHostileArchive, WithAFooterThatPromisesGigabytesTakesLittleMemory) {
  const Bytes archive = testing_support::Pack(testing_support::MixedSample(1));
  archive::Footer footer = testing_support::FooterOf(archive);
  for (uint64_t plain_bytes : {uint64_t{300} << 10, uint64_t{1} << 20, uint64_t{1} << 30, uint64_t{1} << 40}) {
    footer.index.plain_bytes = plain_bytes;
    ExpectBounded(testing_support::WithFooter(archive, footer));
    EXPECT_LE(peak_, 8u << 20);
  }
}

}  // namespace
}  // namespace entrofs::fs
