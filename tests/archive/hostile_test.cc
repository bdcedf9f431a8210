// Archives made to do harm, with right checksums: refused before anything large is allocated or any path is believed.

#include <gtest/gtest.h>
#include <zstd.h>

#include <functional>

#include "archive/paths.h"
#include "tests/support/craft_archive.h"
#include "tests/support/memory_file.h"
#include "tests/support/sample_archive.h"

namespace entrofs {
namespace {

using archive::Extent;
using archive::Index;
using testing_support::Bytes;
using testing_support::MixedSample;
using testing_support::Pack;

class Hostile : public testing::Test {
 protected:
  Hostile() : archive_(Pack(MixedSample(1))), index_((*testing_support::Open(archive_))->index()) {}

  Extent& FirstTans() { return index_.files[1].extents[2]; }
  // What opening the archive says with the index as it is now; "" when it opens.
  std::string OpenMessage() { return OpenMessage(testing_support::WithIndex(archive_, index_)); }
  static std::string OpenMessage(Bytes bytes) {
    auto reader = testing_support::Open(std::move(bytes));
    return reader ? "" : reader.error().message;
  }
  void ExpectRefused(const std::string& part) {
    std::string message = OpenMessage();
    EXPECT_NE(message.find(part), std::string::npos) << "wanted: " << part << "\ngot: " << message;
  }

  Bytes archive_;
  Index index_;
};

TEST_F(Hostile, TheUnchangedIndexOpens) { EXPECT_EQ(OpenMessage(), ""); }

class HostilePath : public Hostile, public testing::WithParamInterface<std::string> {};

TEST_P(HostilePath, OfAFileIsRefused) {
  index_.files[0].path = GetParam();
  ExpectRefused("unsafe path");
}

TEST_P(HostilePath, OfADirectoryIsRefused) {
  index_.directories = {GetParam()};
  ExpectRefused("unsafe path");
}

TEST_P(HostilePath, IsRefusedByTheWriter) {
  testing_support::Sample sample;
  sample.files.push_back({.path = GetParam(), .extents = {}});
  ThreadPool pool(1);
  Bytes bytes;
  archive::ArchiveWriter writer(std::make_unique<testing_support::MemoryNewFile>(&bytes), pool);
  auto result = testing_support::Write(sample, writer);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(writer.AddDirectory("a").ok()) << "nothing works after an error";
}

INSTANTIATE_TEST_SUITE_P(Paths, HostilePath,
                         testing::Values("", "/", "/etc/passwd", ".", "..", "../up", "a/../b", "a/..", "a//b", "a/",
                                         "./a", "a/.", std::string("a\0b", 3), "line\nbreak", "\x7f",
                                         std::string(256, 'x'), std::string(255, 'x') + "/" + std::string(4000, 'y')));

TEST(SafePath, OrdinaryNamesAreAccepted) {
  for (const char* path : {"a", "a/b", "...", "..a", "a..", "model-00001-of-00002.safetensors", "a b/c\\d", "\xc3\xa9",
                           "\xff", "-rf", ".gitattributes"}) {
    EXPECT_TRUE(archive::IsSafePath(path)) << path;
  }
}

TEST_F(Hostile, PathsTwiceOutOfOrderOrInTwoRolesAreRefused) {
  auto with_paths = [&](std::vector<std::string> files, std::vector<std::string> directories) {
    index_.files.resize(1);
    for (const std::string& path : files) {
      index_.files.push_back(archive::VirtualFile{.path = path, .hash = {}, .extents = {}});
    }
    index_.files.erase(index_.files.begin());
    index_.directories = std::move(directories);
    std::string message = OpenMessage();
    index_.files.resize(1);
    return message;
  };
  EXPECT_NE(with_paths({"a", "a"}, {}).find("out of order or twice"), std::string::npos);
  EXPECT_NE(with_paths({"b", "a"}, {}).find("out of order or twice"), std::string::npos);
  EXPECT_NE(with_paths({"a"}, {"b", "b"}).find("out of order or twice"), std::string::npos);
  EXPECT_NE(with_paths({"a", "a/b"}, {}).find("also the folder"), std::string::npos);
  EXPECT_NE(with_paths({"a", "a-", "a/b"}, {}).find("also the folder"), std::string::npos);
  EXPECT_NE(with_paths({"a/b"}, {"a"}).find("also the folder"), std::string::npos);
  EXPECT_NE(with_paths({"a"}, {"a/b"}).find("also the folder"), std::string::npos);
  EXPECT_NE(with_paths({"a"}, {"a"}).find("both a file and a directory"), std::string::npos);
}

TEST(Writer, RefusesPathsTwiceOrInTwoRoles) {
  archive::PathSet paths;
  EXPECT_TRUE(paths.AddFile("a/b").ok());
  EXPECT_FALSE(paths.AddFile("a/b").ok());
  EXPECT_FALSE(paths.AddFile("a").ok());
  EXPECT_FALSE(paths.AddFile("a/b/c").ok());
  EXPECT_FALSE(paths.AddDirectory("a/b").ok());
  EXPECT_FALSE(paths.AddDirectory("a/b/c").ok());
  EXPECT_TRUE(paths.AddDirectory("a").ok());
  EXPECT_TRUE(paths.AddDirectory("d").ok());
  EXPECT_TRUE(paths.AddDirectory("d").ok());
  EXPECT_FALSE(paths.AddFile("d").ok());
  EXPECT_TRUE(paths.AddFile("d/e").ok());
  EXPECT_TRUE(paths.AddDirectory("x/y/z").ok());
  EXPECT_FALSE(paths.AddFile("x/y").ok());
  EXPECT_EQ(paths.EmptyDirectories(), std::vector<std::string>{"x/y/z"});
}

TEST_F(Hostile, ExtentsThatDoNotTileTheArchiveAreRefused) {
  const Index original = index_;
  FirstTans().index_archive_offset += 1;
  ExpectRefused("out of place");
  index_ = original;
  index_.files[1].extents[3].stored_bytes += 1;
  ExpectRefused("out of place");
  index_ = original;
  FirstTans().stored_bytes = 20;
  index_.files[2].extents[0].stored_bytes = 20;
  ExpectRefused("too few stored bytes");
  index_ = original;
  FirstTans().stored_bytes = UINT64_MAX;
  index_.files[2].extents[0].stored_bytes = UINT64_MAX;
  ExpectRefused("out of place");
  index_ = original;
  FirstTans().index_archive_offset = UINT64_MAX - 10;
  ExpectRefused("out of place");
  index_ = original;
  index_.files.pop_back();
  ExpectRefused("bytes that belong to no extent");
}

TEST_F(Hostile, ExtentsThatShareBytesMustAgree) {
  Extent& shared = index_.files[2].extents[0];
  shared.plain_bytes -= 1;
  index_.files[2].size_bytes -= 1;
  ExpectRefused("extents that share");
}

TEST_F(Hostile, ImpossibleSizesAreRefused) {
  const Index original = index_;
  for (uint32_t segment_bytes : {0u, 1u, 65535u, 65537u, (4u << 20) + 256, UINT32_MAX}) {
    FirstTans().segment_bytes = segment_bytes;
    ExpectRefused("segment size");
  }
  index_ = original;
  for (uint64_t plain_bytes : {uint64_t{1} << 40, uint64_t{INT64_MAX}}) {
    FirstTans().plain_bytes = plain_bytes;
    ExpectRefused("too few stored bytes");
  }
  FirstTans().plain_bytes = UINT64_MAX;
  ExpectRefused("too large");
  index_ = original;
  index_.files[1].size_bytes += 1;
  ExpectRefused("not the sum");
  index_ = original;
  index_.files[1].extents[1].stored_bytes = 1;
  ExpectRefused("empty extent");
  index_ = original;
  index_.files[1].mode = 0644;
  ExpectRefused("mode");
}

TEST_F(Hostile, AnExtentMayBeSharedManyTimes) {
  archive::VirtualFile& file = index_.files[1];
  for (int i = 0; i < 3; ++i) file.extents.push_back(file.extents[2]);
  file.size_bytes += 3 * file.extents[2].plain_bytes;
  EXPECT_EQ(OpenMessage(), "");
}

TEST_F(Hostile, UnknownKindsLayoutsAndTablesAreRefused) {
  const Index original = index_;
  FirstTans().layout.element_bytes = 3;
  ExpectRefused("layout");
  index_ = original;
  FirstTans().layout.rotate_sign = true;
  ExpectRefused("layout");
  index_ = original;
  // The footer has no flag for these.
  FirstTans().layout.delta = true;
  ExpectRefused("broken extent");
  index_ = original;
  FirstTans().layout.block = {{1, 0}};
  ExpectRefused("broken extent");
  index_ = original;
  FirstTans().layout.trellis = true;
  ExpectRefused("broken extent");
  index_ = original;
  FirstTans().planes[0].kind = static_cast<codec::CodecKind>(5);
  ExpectRefused("unknown kind");
  index_ = original;
  FirstTans().planes[0].kind = codec::CodecKind::kHuffman;
  ExpectRefused("without a table of its kind");
  index_ = original;
  FirstTans().planes[0].table = archive::kNoTable;
  ExpectRefused("without a table of its kind");
  index_ = original;
  FirstTans().planes[0].kind = codec::CodecKind::kZstd;
  ExpectRefused("table it cannot use");
}

TEST_F(Hostile, EveryTruncationOfTheIndexIsRefused) {
  const Bytes plain = testing_support::PlainIndexOf(archive_);
  for (size_t size = 0; size < plain.size(); ++size) {
    Bytes fresh(plain.begin(), plain.begin() + static_cast<ptrdiff_t>(size));
    ASSERT_FALSE(archive::DecodeIndex(fresh, testing_support::FooterOf(archive_).report.archive_offset).ok()) << size;
  }
  Bytes longer = plain;
  longer.push_back(0);
  EXPECT_NE(OpenMessage(testing_support::WithPlainIndex(archive_, longer)), "");
}

TEST_F(Hostile, EveryByteOfTheIndexMayBeAnything) {
  // Not all changes can be noticed here (names, times, hashes); none may crash or be believed blindly.
  const Bytes plain = testing_support::PlainIndexOf(archive_);
  for (size_t at = 0; at < plain.size(); ++at) {
    for (int value : {0x00, 0x01, 0x7f, 0x80, 0xff, plain[at] + 1, plain[at] - 1}) {
      Bytes changed = plain;
      changed[at] = static_cast<uint8_t>(value);
      auto reader = testing_support::Open(testing_support::WithPlainIndex(archive_, changed));
      if (reader) (void)testing_support::ReadAll(**reader);
    }
  }
}

TEST_F(Hostile, FootersWithImpossibleBlocksAreRefused) {
  const archive::Footer footer = testing_support::FooterOf(archive_);
  auto refused = [&](const std::function<void(archive::Footer&)>& change) {
    archive::Footer changed = footer;
    change(changed);
    std::string message = OpenMessage(testing_support::WithFooter(archive_, changed));
    EXPECT_NE(message.find("footer"), std::string::npos) << message;
  };
  EXPECT_EQ(OpenMessage(testing_support::WithFooter(archive_, footer)), "");
  refused([](archive::Footer& f) { f.index.plain_bytes = archive::kMaxBlockBytes; });
  refused([](archive::Footer& f) { f.index.plain_bytes = UINT64_MAX; });
  refused([](archive::Footer& f) { f.index.plain_bytes = f.index.stored_bytes - 1; });
  refused([](archive::Footer& f) { f.report.plain_bytes = 1 << 20; });
  refused([](archive::Footer& f) { f.index.stored_bytes = UINT64_MAX; });
  refused([](archive::Footer& f) { f.index.archive_offset += 1; });
  refused([](archive::Footer& f) { f.index.archive_offset = UINT64_MAX; });
  refused([](archive::Footer& f) { f.report.archive_offset -= 1; });
  refused([](archive::Footer& f) { f.report.stored_bytes = UINT64_MAX; });
}

TEST_F(Hostile, AnIndexThatUnpacksToMoreThanItSaysIsRefused) {
  Bytes plain(200000);
  Bytes stored(ZSTD_compressBound(plain.size()));
  stored.resize(ZSTD_compress(stored.data(), stored.size(), plain.data(), plain.size(), 1));
  for (uint64_t declared : {plain.size() - 1, plain.size() + 1, stored.size() + 1}) {
    archive::Block block{0, stored.size(), declared, 0};
    EXPECT_FALSE(archive::DecompressBlock(block, stored).ok()) << declared;
  }
}

TEST_F(Hostile, SegmentPagesThatPointElsewhereAreRefused) {
  Extent extent = FirstTans();
  const uint64_t begin = archive::BeginArchiveOffset(extent);
  const uint32_t length = static_cast<uint32_t>(extent.index_archive_offset - begin);
  auto decode = [&](uint64_t base, uint32_t end) {
    return archive::DecodeIndexPage(archive::EncodeIndexPage({base, {end}}, extent.index_archive_offset), extent, 0)
        .ok();
  };
  EXPECT_TRUE(decode(begin, length));
  EXPECT_FALSE(decode(begin, length - 1));
  EXPECT_FALSE(decode(begin, length + 1));
  EXPECT_FALSE(decode(begin - 1, length + 1));
  EXPECT_FALSE(decode(begin + 1, length - 1));
  EXPECT_FALSE(decode(UINT64_MAX, length));
  EXPECT_FALSE(decode(UINT64_MAX - length + 1, length));
  EXPECT_FALSE(decode(begin, 0));
  EXPECT_FALSE(decode(begin, UINT32_MAX));
}

TEST_F(Hostile, SegmentsCannotBeSwapped) {
  // The checksum is seeded with the place, so a segment in another's place is noticed even if its bytes are whole.
  Bytes plain = testing_support::RandomBytes(2 * codec::kMinSegmentBytes, 256, 1);
  testing_support::Sample sample;
  sample.files.push_back({.path = "f", .extents = {{"t", plain, {}, codec::CodecKind::kStored}}});
  Bytes archive = Pack(sample);
  auto reader = testing_support::Open(archive);
  ASSERT_TRUE(reader.ok());
  const Extent& extent = (*reader)->index().files[0].extents[0];
  auto first = (*reader)->FindSegment(extent, 0);
  auto second = (*reader)->FindSegment(extent, 1);
  ASSERT_TRUE(first.ok() && second.ok());
  ASSERT_EQ(first->stored_bytes, second->stored_bytes);
  std::swap_ranges(archive.begin() + static_cast<ptrdiff_t>(first->archive_offset),
                   archive.begin() + static_cast<ptrdiff_t>(second->archive_offset),
                   archive.begin() + static_cast<ptrdiff_t>(second->archive_offset));
  auto swapped = testing_support::Open(archive);
  ASSERT_TRUE(swapped.ok());
  EXPECT_FALSE(testing_support::ReadAll(**swapped).ok());
}

}  // namespace
}  // namespace entrofs
