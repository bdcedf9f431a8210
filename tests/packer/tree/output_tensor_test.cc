#include "packer/tree/output_tensor.h"

#include <gtest/gtest.h>

#include <cmath>

namespace entrofs::packer::tree {
namespace {

TEST(SliceOf, ReadsItsRangeAndNothingElse) {
  auto whole = BytesInMemory({0, 1, 2, 3, 4, 5, 6, 7});
  auto slice = SliceOf(whole, 2, 4);
  EXPECT_EQ(slice->size(), 4u);
  std::vector<uint8_t> out(4);
  ASSERT_TRUE(slice->ReadAt(0, out).ok());
  EXPECT_EQ(out, (std::vector<uint8_t>{2, 3, 4, 5}));
  EXPECT_FALSE(slice->ReadAt(1, out).ok());
  EXPECT_FALSE(slice->ReadAt(~uint64_t{0}, out).ok());
}

TEST(BytesInMemory, GivesAnyRangeInside) {
  auto file = BytesInMemory({7, 8, 9});
  uint8_t last = 0;
  ASSERT_TRUE(file->ReadAt(2, {&last, 1}).ok());
  EXPECT_EQ(last, 9);
  EXPECT_TRUE(file->ReadAt(3, {}).ok());
  EXPECT_FALSE(file->ReadAt(3, {&last, 1}).ok());
}

TEST(QuantizationError, IsInDecibelAndAddsUp) {
  QuantizationError error{100, 1};
  EXPECT_DOUBLE_EQ(error.SqnrDb(), 20.0);
  error += QuantizationError{900, 0};
  EXPECT_DOUBLE_EQ(error.SqnrDb(), 30.0);
  EXPECT_TRUE(std::isinf((QuantizationError{1, 0}).SqnrDb()));
}

}  // namespace
}  // namespace entrofs::packer::tree
