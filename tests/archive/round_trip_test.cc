// What goes in comes out, whatever the sizes, layouts and thread counts.

#include <gtest/gtest.h>

#include "tests/support/memory_file.h"
#include "tests/support/sample_archive.h"

namespace entrofs {
namespace {

using archive::ArchiveReader;
using archive::ArchiveWriter;
using testing_support::Bytes;
using testing_support::MixedSample;
using testing_support::Pack;
using testing_support::RandomBytes;
using testing_support::ReadAll;
using testing_support::Sample;

void ExpectHolds(const ArchiveReader& reader, const Sample& sample) {
  auto contents = ReadAll(reader);
  ASSERT_TRUE(contents.ok()) << contents.error().message;
  EXPECT_EQ(contents->size(), sample.files.size());
  for (const auto& file : sample.files) {
    ASSERT_TRUE(contents->contains(file.path)) << file.path;
    EXPECT_TRUE(contents->at(file.path) == file.Content()) << file.path;
  }
}

TEST(RoundTrip, EveryLayoutAndCodec) {
  for (size_t scale : {1, 7, 300, 2000}) {
    Sample sample = MixedSample(scale);
    auto reader = testing_support::Open(Pack(sample));
    ASSERT_TRUE(reader.ok()) << reader.error().message;
    ExpectHolds(**reader, sample);
  }
}

TEST(RoundTrip, KeepsPathsModesTimesAndReport) {
  Sample sample = MixedSample(1);
  sample.files[0].mode = 0777;
  sample.files[0].mtime_ns = -5;
  auto reader = testing_support::Open(Pack(sample));
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  const archive::Index& index = (*reader)->index();
  ASSERT_EQ(index.files.size(), 3u);
  EXPECT_EQ(index.files[0].path, "empty");
  EXPECT_EQ(index.files[0].mode, 0555u);
  EXPECT_EQ(index.files[0].mtime_ns, -5);
  EXPECT_EQ(index.files[0].size_bytes, 0u);
  EXPECT_EQ(index.files[1].mode, 0444u);
  EXPECT_EQ(index.files[1].mtime_ns, sample.files[1].mtime_ns);
  EXPECT_EQ(index.files[1].size_bytes, sample.files[1].Content().size());
  EXPECT_EQ(index.directories, std::vector<std::string>{"sub/nothing in here"});
  auto report = (*reader)->ReadReport();
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(*report, sample.report_json);
}

TEST(RoundTrip, AnEmptyArchive) {
  auto reader = testing_support::Open(Pack(Sample{}));
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  EXPECT_TRUE((*reader)->index().files.empty());
}

TEST(RoundTrip, SharedExtentsAreStoredOnce) {
  Sample with = MixedSample(100);
  auto reader = testing_support::Open(Pack(with));
  ASSERT_TRUE(reader.ok());
  const archive::Extent& original = (*reader)->index().files[1].extents[2];
  const archive::Extent& shared = (*reader)->index().files[2].extents[0];
  EXPECT_EQ(original.name, "bytes.tans");
  EXPECT_EQ(shared.name, "again");
  EXPECT_EQ(shared.index_archive_offset, original.index_archive_offset);
  EXPECT_EQ(shared.stored_bytes, original.stored_bytes);
}

TEST(RoundTrip, ManySegmentsNeedSeveralIndexPages) {
  Sample sample;
  const size_t segments = 2 * archive::kSegmentsPerIndexPage + 3;
  Bytes plain = RandomBytes(segments * codec::kMinSegmentBytes - 100, 1, 1);
  for (size_t i = 0; i < segments; ++i) plain[i * codec::kMinSegmentBytes] = static_cast<uint8_t>(i);
  sample.files.push_back({.path = "long", .extents = {{"constant", std::move(plain), {}, codec::CodecKind::kZstd}}});
  auto reader = testing_support::Open(Pack(sample));
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  ExpectHolds(**reader, sample);
}

TEST(RoundTrip, ThousandsOfSmallFiles) {
  Sample sample;
  for (int i = 0; i < 3000; ++i) {
    std::string name = std::to_string(i);
    sample.files.push_back({.path = "d" + std::to_string(i % 10) + "/" + name,
                            .extents = {{name, Bytes(name.begin(), name.end()), {}, codec::CodecKind::kZstd}}});
  }
  auto reader = testing_support::Open(Pack(sample));
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  ExpectHolds(**reader, sample);
}

TEST(RoundTrip, RangesOfAnExtent) {
  Sample sample;
  Bytes plain = RandomBytes(3 * codec::kMinSegmentBytes + 1000, 40, 9);
  sample.files.push_back({.path = "f", .extents = {{"t", plain, {}, codec::CodecKind::kTans}}});
  auto reader = testing_support::Open(Pack(sample));
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  const archive::Extent& extent = (*reader)->index().files[0].extents[0];
  ArchiveReader::ReadScratch scratch;
  for (auto [offset, length] : {std::pair<size_t, size_t>{0, 0},
                                {0, plain.size()},
                                {65535, 2},
                                {plain.size() - 1, 1},
                                {plain.size(), 0},
                                {100, 131072},
                                {65536, 65536}}) {
    Bytes out(length);
    ASSERT_TRUE((*reader)->ReadRange(extent, offset, scratch, out).ok());
    EXPECT_TRUE(std::equal(out.begin(), out.end(), plain.begin() + static_cast<ptrdiff_t>(offset)));
  }
  Bytes out(2);
  EXPECT_FALSE((*reader)->ReadRange(extent, plain.size() - 1, scratch, out).ok());
  EXPECT_FALSE((*reader)->ReadRange(extent, UINT64_MAX, scratch, out).ok());
}

TEST(Determinism, TheThreadCountDoesNotMatter) {
  Sample sample = MixedSample(3000);
  ThreadPool one(1);
  Bytes expected = Pack(sample, one);
  for (size_t threads : {2, 7}) {
    ThreadPool pool(threads);
    EXPECT_TRUE(Pack(sample, pool) == expected) << threads;
  }
}

TEST(Tables, IdenticalOnesAreStoredOnceAndUnusedOnesNotAtAll) {
  ThreadPool pool(1);
  Bytes bytes;
  ArchiveWriter writer(std::make_unique<testing_support::MemoryNewFile>(&bytes), pool);
  Bytes a = {1, 2, 3};
  EXPECT_EQ(writer.AddTable(codec::CodecKind::kTans, a), 0u);
  EXPECT_EQ(writer.AddTable(codec::CodecKind::kHuffman, a), 1u);
  EXPECT_EQ(writer.AddTable(codec::CodecKind::kTans, a), 0u);
  ASSERT_TRUE(writer.Start().ok());
  ASSERT_TRUE(writer.Finish("", nullptr).ok());
  auto reader = testing_support::Open(bytes);
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  EXPECT_TRUE((*reader)->index().tables.empty());
}

}  // namespace
}  // namespace entrofs
