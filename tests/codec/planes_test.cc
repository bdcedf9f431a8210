// Splitting and merging planes: every kernel set against the scalar one.

#include <gtest/gtest.h>

#include "codec/kernels/kernels.h"
#include "tests/codec/support.h"

namespace entrofs::codec {
namespace {

class EveryKernelPlanes : public testing::TestWithParam<std::string_view> {
 private:
  KernelsRestored restored_;
};

struct Planes {
  Planes(unsigned element_bytes, size_t count) : bytes(element_bytes, std::vector<uint8_t>(count, 0xA5)) {}
  std::vector<uint8_t*> pointers() {
    std::vector<uint8_t*> all;
    for (std::vector<uint8_t>& plane : bytes) all.push_back(plane.data());
    return all;
  }
  std::vector<std::vector<uint8_t>> bytes;
};

TEST_P(EveryKernelPlanes, AgreeWithScalarAtEveryLength) {
  ASSERT_TRUE(SelectKernels(GetParam()).ok());
  Random random(3);
  for (unsigned element_bytes : {2u, 4u, 8u}) {
    for (bool rotate_sign : {false, true}) {
      for (size_t count = 0; count < 200; ++count) {
        std::vector<uint8_t> plain(count * element_bytes);
        for (uint8_t& byte : plain) byte = static_cast<uint8_t>(random.Next());
        Planes expected(element_bytes, count);
        kScalarKernels.split_planes(plain.data(), count, element_bytes, rotate_sign, expected.pointers().data());
        Planes actual(element_bytes, count);
        Active().split_planes(plain.data(), count, element_bytes, rotate_sign, actual.pointers().data());
        ASSERT_EQ(actual.bytes, expected.bytes) << element_bytes << " " << rotate_sign << " " << count;
        std::vector<uint8_t> merged(plain.size());
        Active().merge_planes(actual.pointers().data(), count, element_bytes, rotate_sign, merged.data());
        ASSERT_EQ(merged, plain) << element_bytes << " " << rotate_sign << " " << count;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Codec, EveryKernelPlanes, testing::ValuesIn(SupportedKernels()),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace entrofs::codec
