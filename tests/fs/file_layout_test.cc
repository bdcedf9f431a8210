#include "fs/file_layout.h"

#include <gtest/gtest.h>

namespace entrofs::fs {
namespace {

view::ViewExtent Extent(uint64_t plain_bytes, uint32_t segment_bytes, uint32_t number, uint64_t file_offset_bytes) {
  return {.number = number,
          .segment_bytes = segment_bytes,
          .plain_bytes = plain_bytes,
          .file_offset_bytes = file_offset_bytes};
}

class FileLayoutTest : public testing::Test {
 protected:
  FileLayoutTest() { file_.extents = {Extent(10, 256, 1, 0), Extent(600, 256, 2, 10), Extent(256, 256, 3, 610)}; }
  view::File file_;
  SegmentNumbering numbering_;
};

TEST_F(FileLayoutTest, CutsARangeAtSegmentsAndExtents) {
  FileLayout layout(file_, numbering_);
  EXPECT_EQ(layout.segment_count(), 5u);
  std::vector<Piece> pieces = layout.Cut(5, 600);
  ASSERT_EQ(pieces.size(), 4u);
  EXPECT_EQ(pieces[0].begin, 5u);
  EXPECT_EQ(pieces[0].size, 5u);
  EXPECT_FALSE(pieces[0].is_whole());
  EXPECT_TRUE(pieces[1].is_whole());
  EXPECT_EQ(pieces[1].extent, &file_.extents[1]);
  EXPECT_TRUE(pieces[2].is_whole());
  EXPECT_EQ(pieces[3].segment, 2u);
  EXPECT_EQ(pieces[3].segment_bytes, 88u);
  EXPECT_EQ(pieces[3].size, 83u);
  for (size_t i = 0; i < pieces.size(); ++i) EXPECT_EQ(pieces[i].ordinal, i);
}

TEST_F(FileLayoutTest, EveryByteIsCoveredOnce) {
  FileLayout layout(file_, numbering_);
  for (uint64_t begin = 0; begin < 866; begin += 13) {
    for (uint64_t length : {0, 1, 255, 256, 257, 866}) {
      uint64_t wanted = std::min<uint64_t>(length, 866 - begin);
      uint64_t covered = 0;
      for (const Piece& piece : layout.Cut(begin, wanted)) {
        EXPECT_LE(piece.begin + piece.size, piece.segment_bytes);
        covered += piece.size;
      }
      EXPECT_EQ(covered, wanted);
    }
  }
}

TEST_F(FileLayoutTest, OrdinalsNameWholeSegments) {
  FileLayout layout(file_, numbering_);
  for (uint64_t ordinal = 0; ordinal < layout.segment_count(); ++ordinal) {
    Piece piece = layout.WholeSegment(ordinal);
    EXPECT_EQ(piece.ordinal, ordinal);
    EXPECT_TRUE(piece.is_whole());
  }
  EXPECT_EQ(layout.WholeSegment(4).extent, &file_.extents[2]);
}

TEST_F(FileLayoutTest, SharedBytesShareTheirNumbers) {
  FileLayout first(file_, numbering_);
  view::File copy;
  copy.extents = {file_.extents[1]};
  copy.extents[0].file_offset_bytes = 0;
  FileLayout second(copy, numbering_);
  EXPECT_EQ(second.WholeSegment(1).id, first.WholeSegment(2).id);
}

TEST_F(FileLayoutTest, OnePlaceReadInTwoWaysIsTwoContents) {
  FileLayout first(file_, numbering_);
  view::File forged;
  forged.extents = {Extent(100000, 65536, 2, 0)};
  FileLayout second(forged, numbering_);
  EXPECT_NE(second.WholeSegment(0).id, first.WholeSegment(1).id);
}

}  // namespace
}  // namespace entrofs::fs
