#include "packer/analyze/column_files.h"

#include <gtest/gtest.h>

#include <numeric>

namespace entrofs::packer::analyze {
namespace {

// Five rows of seven two-byte elements, all bytes different.
tree::OutputTensor Sample() {
  std::vector<uint8_t> bytes(70);
  std::iota(bytes.begin(), bytes.end(), uint8_t{1});
  tree::OutputTensor tensor;
  tensor.name = "a";
  tensor.dtype = source::Dtype::kBf16;
  tensor.shape = {5, 7};
  tensor.bytes = tree::BytesInMemory(bytes);
  tensor.weight_count = 35;
  tensor.belongs_to = "a";
  return tensor;
}

const std::vector<uint64_t> kColumns = {0, 3, 6};

void ExpectEveryRange(const RandomAccessFile& file, const std::vector<uint8_t>& expected) {
  ASSERT_EQ(file.size(), expected.size());
  for (size_t begin = 0; begin <= expected.size(); ++begin) {
    for (size_t end = begin; end <= expected.size(); ++end) {
      std::vector<uint8_t> bytes(end - begin, 0xee);
      ASSERT_TRUE(file.ReadAt(begin, bytes).ok());
      ASSERT_EQ(bytes, std::vector<uint8_t>(expected.begin() + static_cast<ptrdiff_t>(begin),
                                            expected.begin() + static_cast<ptrdiff_t>(end)))
          << begin << " to " << end;
    }
  }
}

TEST(WithoutColumns, ReadsZerosThereAndTheRestAsItWas) {
  std::vector<uint8_t> expected(70);
  std::iota(expected.begin(), expected.end(), uint8_t{1});
  for (size_t row = 0; row < 5; ++row) {
    for (uint64_t column : kColumns) expected[row * 14 + column * 2] = expected[row * 14 + column * 2 + 1] = 0;
  }
  ExpectEveryRange(*WithoutColumns(Sample(), kColumns).bytes, expected);
}

TEST(OnlyColumns, ReadsThemSideBySide) {
  std::vector<uint8_t> expected;
  for (size_t row = 0; row < 5; ++row) {
    for (uint64_t column : kColumns) {
      expected.push_back(static_cast<uint8_t>(row * 14 + column * 2 + 1));
      expected.push_back(static_cast<uint8_t>(row * 14 + column * 2 + 2));
    }
  }
  const tree::OutputTensor only = OnlyColumns(Sample(), kColumns);
  EXPECT_EQ(only.shape, (std::vector<uint64_t>{5, 3}));
  EXPECT_EQ(only.belongs_to, "a");
  ExpectEveryRange(*only.bytes, expected);
}

TEST(OnlyColumns, ReadsManyRowsInBlocks) {
  constexpr uint64_t kRows = 1000, kWidth = 1024;
  std::vector<uint8_t> bytes(kRows * kWidth * 2);
  for (uint64_t i = 0; i < kRows * kWidth; ++i) {
    bytes[2 * i] = static_cast<uint8_t>(i / kWidth);
    bytes[2 * i + 1] = static_cast<uint8_t>(i % kWidth);
  }
  tree::OutputTensor tensor = Sample();
  tensor.shape = {kRows, kWidth};
  tensor.bytes = tree::BytesInMemory(bytes);
  const tree::OutputTensor only = OnlyColumns(tensor, {5, 900});
  std::vector<uint8_t> read(only.bytes->size());
  ASSERT_TRUE(only.bytes->ReadAt(0, read).ok());
  for (uint64_t row = 0; row < kRows; ++row) {
    ASSERT_EQ(read[4 * row], static_cast<uint8_t>(row));
    ASSERT_EQ(read[4 * row + 1], 5);
    ASSERT_EQ(read[4 * row + 3], static_cast<uint8_t>(900));
  }
}

}  // namespace
}  // namespace entrofs::packer::analyze
