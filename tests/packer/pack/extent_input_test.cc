#include "packer/pack/extent_input.h"

#include <gtest/gtest.h>

namespace entrofs::packer::pack {
namespace {

tree::OutputTensor Tensor(const std::string& name, source::Dtype dtype, size_t size, uint8_t fill) {
  tree::OutputTensor tensor;
  tensor.name = name;
  tensor.dtype = dtype;
  tensor.shape = {size};
  tensor.bytes = tree::BytesInMemory(std::vector<uint8_t>(size, fill));
  return tensor;
}

tree::OutputFile FileOf(std::vector<tree::FilePart> parts) {
  tree::OutputFile file;
  file.parts = std::move(parts);
  return file;
}

TEST(CutIntoExtents, MakesEveryTensorOneAndNoneOfNothing) {
  tree::OutputFile file =
      FileOf({tree::Literal{"header", tree::BytesInMemory({1, 2})}, Tensor("a", source::Dtype::kBf16, 64, 1),
              Tensor("none", source::Dtype::kF32, 0, 0), Tensor("b", source::Dtype::kF32, 64, 3)});
  std::vector<ExtentInput> inputs = CutIntoExtents(file);
  ASSERT_EQ(inputs.size(), 3u);
  EXPECT_EQ(inputs[0].name, "header");
  EXPECT_FALSE(inputs[0].dtype.has_value());
  EXPECT_EQ(inputs[1].name, "a");
  EXPECT_EQ(inputs[1].dtype, source::Dtype::kBf16);
  EXPECT_EQ(inputs[2].name, "b");
}

TEST(JoinedExtent, ReadsAsItsTensorsOneAfterAnother) {
  const tree::OutputTensor a = Tensor("a", source::Dtype::kU8, 3, 1), b = Tensor("b", source::Dtype::kU8, 4, 2),
                           c = Tensor("c", source::Dtype::kU8, 5, 3);
  const ExtentInput joined = JoinedExtent({&a, &b, &c});
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

TEST(CutIntoExtents, CutsLongLiterals) {
  tree::OutputFile file =
      FileOf({tree::Literal{"content", tree::BytesInMemory(std::vector<uint8_t>(kLiteralExtentBytes + 5, 7))}});
  std::vector<ExtentInput> inputs = CutIntoExtents(file);
  ASSERT_EQ(inputs.size(), 2u);
  EXPECT_EQ(inputs[0].bytes->size(), kLiteralExtentBytes);
  EXPECT_EQ(inputs[1].bytes->size(), 5u);
  EXPECT_FALSE(inputs[1].dtype.has_value());
}

TEST(CutIntoExtents, OfAnEmptyFileIsNothing) {
  EXPECT_TRUE(CutIntoExtents(FileOf({tree::Literal{"content", tree::BytesInMemory({})}})).empty());
}

}  // namespace
}  // namespace entrofs::packer::pack
