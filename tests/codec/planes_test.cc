// Splitting and merging planes, and trellises: every kernel set against the scalar one.

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

// As docs/codec-format.md has it.
std::vector<uint8_t> TrellisValues(const std::vector<uint8_t>& indices) {
  std::vector<uint8_t> values;
  std::vector<unsigned> b(6), c(6);  // of the bytes before, which are none
  for (const uint8_t index : indices) {
    const size_t t = b.size();
    b.push_back(b[t - 1] ^ b[t - 6] ^ c[t - 2] ^ c[t - 4]);
    c.push_back(index & 1);
    values.push_back(static_cast<uint8_t>((index << 1 | index >> 7) ^ b[t]));
  }
  return values;
}

TEST_P(EveryKernelPlanes, FollowTheTrellisAtEveryLength) {
  ASSERT_TRUE(SelectKernels(GetParam()).ok());
  Random random(4);
  for (size_t count = 0; count < 700; ++count) {
    std::vector<uint8_t> indices(count);
    for (uint8_t& index : indices) index = static_cast<uint8_t>(random.Next());
    std::vector<uint8_t> values(count);
    Active().merge_trellis(indices.data(), count, values.data());
    ASSERT_EQ(values, TrellisValues(indices)) << count;
    std::vector<uint8_t> back(count);
    Active().split_trellis(values.data(), count, back.data());
    ASSERT_EQ(back, indices) << count;
    Active().merge_trellis(indices.data(), count, indices.data());
    ASSERT_EQ(indices, values) << count << " in place";
  }
}

INSTANTIATE_TEST_SUITE_P(Codec, EveryKernelPlanes, testing::ValuesIn(SupportedKernels()),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace entrofs::codec
