// Accidents: flipped bits, lost ends, wrong versions. Nothing but the right bytes may come out.

#include <gtest/gtest.h>

#include "tests/support/craft_archive.h"
#include "tests/support/sample_archive.h"
#include "tests/support/sanitizers.h"

namespace entrofs {
namespace {

using testing_support::Bytes;
using testing_support::MixedSample;
using testing_support::Pack;

// ThreadSanitizer is slow and has nothing to find in one thread.
constexpr size_t kBitStep = testing_support::kUnderThreadSanitizer ? 61 : 1;

// Opens and reads everything there is in an archive of these bytes, each read into its own allocation.
Status ReadEverything(const Bytes& archive) {
  ENTROFS_ASSIGN_OR_RETURN(auto reader, testing_support::Open(archive));
  ENTROFS_ASSIGN_OR_RETURN(auto contents, testing_support::ReadAll(*reader));
  ENTROFS_ASSIGN_OR_RETURN(std::string report, reader->ReadReport());
  return OkStatus();
}

TEST(Corruption, EverySingleBitFlipIsNoticed) {
  Bytes archive = Pack(MixedSample(1));
  ASSERT_LT(archive.size(), 5000u);
  ASSERT_TRUE(ReadEverything(archive).ok());
  for (size_t bit = 0; bit < 8 * archive.size(); bit += kBitStep) {
    archive[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    Status status = ReadEverything(archive);
    ASSERT_FALSE(status.ok()) << "bit " << bit % 8 << " of byte " << bit / 8;
    EXPECT_TRUE(status.error().message.starts_with("sample: ")) << status.error().message;
    archive[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
  }
}

TEST(Corruption, ManyFlippedBitsAreNoticed) {
  const Bytes archive = Pack(MixedSample(20));
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Bytes noise = testing_support::RandomBytes(64, 256, seed);
    Bytes broken = archive;
    for (size_t i = 0; i < 8; ++i) broken[LoadLe<uint64_t>(noise.data() + 8 * i) % broken.size()] ^= noise[i] | 1;
    EXPECT_FALSE(ReadEverything(broken).ok()) << seed;
  }
}

TEST(Corruption, EveryTruncationIsRefusedAtOpen) {
  const Bytes archive = Pack(MixedSample(1));
  for (size_t size = 0; size < archive.size(); ++size) {
    auto reader = testing_support::Open(Bytes(archive.begin(), archive.begin() + static_cast<ptrdiff_t>(size)));
    ASSERT_FALSE(reader.ok()) << size;
    EXPECT_EQ(reader.error().code, ErrorCode::kCorrupt);
  }
}

TEST(Corruption, TrailingBytesAreRefusedAtOpen) {
  const Bytes archive = Pack(MixedSample(1));
  for (size_t extra : {1, 96, 4096}) {
    Bytes longer = archive;
    longer.resize(archive.size() + extra);
    EXPECT_FALSE(testing_support::Open(longer).ok());
    // Another footer at the end, which belongs to the shorter file.
    Bytes twice = archive;
    twice.insert(twice.end(), archive.end() - archive::kFooterBytes, archive.end());
    EXPECT_FALSE(testing_support::Open(twice).ok());
  }
}

TEST(Corruption, UnknownVersionsAndFlagsAreNamed) {
  const Bytes archive = Pack(MixedSample(1));
  Bytes newer = archive;
  newer[8] = 2;
  auto reader = testing_support::Open(newer);
  ASSERT_FALSE(reader.ok());
  EXPECT_EQ(reader.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(reader.error().message.find("version 2"), std::string::npos) << reader.error().message;
  Bytes flagged = archive;
  flagged[13] = 0x80;
  reader = testing_support::Open(flagged);
  ASSERT_FALSE(reader.ok());
  EXPECT_EQ(reader.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(reader.error().message.find("0x00008000"), std::string::npos) << reader.error().message;
}

TEST(Corruption, OtherFilesAreNotArchives) {
  for (size_t size : {0, 1, 15, 16, 111, 112, 100000}) {
    auto reader = testing_support::Open(testing_support::RandomBytes(size, 256, size));
    ASSERT_FALSE(reader.ok());
    EXPECT_NE(reader.error().message.find("not an entrofs archive"), std::string::npos) << reader.error().message;
  }
}

TEST(Corruption, MessagesNameTensorSegmentAndPlace) {
  Bytes archive = Pack(MixedSample(1));
  auto reader = testing_support::Open(archive);
  ASSERT_TRUE(reader.ok());
  const archive::Extent& extent = (*reader)->index().files[1].extents[2];
  auto range = (*reader)->FindSegment(extent, 0);
  ASSERT_TRUE(range.ok());
  archive[range->archive_offset + 20] ^= 1;
  auto broken = testing_support::Open(archive);
  ASSERT_TRUE(broken.ok());
  archive::ArchiveReader::ReadScratch scratch;
  Bytes plain(archive::ArchiveReader::SegmentBytes(extent, 0));
  Status status = (*broken)->ReadSegment((*broken)->index().files[1].extents[2], 0, scratch, plain);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "sample: bytes.tans segment 0 at archive offset " +
                                        std::to_string(range->archive_offset) + ": checksum mismatch");
}

}  // namespace
}  // namespace entrofs
