#include "packer/unit.h"

#include <gtest/gtest.h>

namespace entrofs::packer {
namespace {

OutputTensor Tensor(const std::string& name, Dtype dtype, size_t size, uint8_t fill) {
  OutputTensor tensor;
  tensor.name = name;
  tensor.dtype = dtype;
  tensor.shape = {size};
  tensor.bytes = BytesInMemory(std::vector<uint8_t>(size, fill));
  return tensor;
}

OutputFile FileOf(std::vector<Piece> pieces) {
  OutputFile file;
  file.pieces = std::move(pieces);
  return file;
}

TEST(CutIntoUnits, MakesEveryTensorOneAndNoneOfNothing) {
  OutputFile file = FileOf({Literal{"header", BytesInMemory({1, 2})}, Tensor("a", Dtype::kBf16, 64, 1),
                            Tensor("none", Dtype::kF32, 0, 0), Tensor("b", Dtype::kF32, 64, 3)});
  std::vector<Unit> units = CutIntoUnits(file);
  ASSERT_EQ(units.size(), 3u);
  EXPECT_EQ(units[0].name, "header");
  EXPECT_FALSE(units[0].dtype.has_value());
  EXPECT_EQ(units[1].name, "a");
  EXPECT_EQ(units[1].dtype, Dtype::kBf16);
  EXPECT_EQ(units[2].name, "b");
}

TEST(JoinedUnit, ReadsAsItsTensorsOneAfterAnother) {
  const OutputTensor a = Tensor("a", Dtype::kU8, 3, 1), b = Tensor("b", Dtype::kU8, 4, 2),
                     c = Tensor("c", Dtype::kU8, 5, 3);
  const Unit joined = JoinedUnit({&a, &b, &c});
  EXPECT_EQ(joined.name, "a to c");
  const std::vector<uint8_t> whole = {1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3};
  for (size_t begin = 0; begin <= whole.size(); ++begin) {
    for (size_t end = begin; end <= whole.size(); ++end) {
      std::vector<uint8_t> out(end - begin);
      ASSERT_TRUE(joined.bytes->ReadAt(begin, out).ok());
      EXPECT_EQ(out, std::vector<uint8_t>(whole.begin() + begin, whole.begin() + end));
    }
  }
  std::vector<uint8_t> too_long(13);
  EXPECT_FALSE(joined.bytes->ReadAt(0, too_long).ok());
}

TEST(CutIntoUnits, CutsLongLiterals) {
  OutputFile file = FileOf({Literal{"content", BytesInMemory(std::vector<uint8_t>(kLiteralUnitBytes + 5, 7))}});
  std::vector<Unit> units = CutIntoUnits(file);
  ASSERT_EQ(units.size(), 2u);
  EXPECT_EQ(units[0].bytes->size(), kLiteralUnitBytes);
  EXPECT_EQ(units[1].bytes->size(), 5u);
  EXPECT_FALSE(units[1].dtype.has_value());
}

TEST(CutIntoUnits, OfAnEmptyFileIsNothing) {
  EXPECT_TRUE(CutIntoUnits(FileOf({Literal{"content", BytesInMemory({})}})).empty());
}

}  // namespace
}  // namespace entrofs::packer
