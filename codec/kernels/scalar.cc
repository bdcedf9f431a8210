// Portable kernels; the reference for all others.

#include <string.h>

#include "codec/kernels/kernels.h"

namespace entrofs::codec {
namespace {

template <typename Element>
void SplitElements(const uint8_t* plain, size_t count, bool rotate_sign, uint8_t* const* planes) {
  constexpr unsigned kBits = 8 * sizeof(Element);
  const unsigned left = rotate_sign ? 1 : 0;
  for (size_t i = 0; i < count; ++i) {
    Element element;
    memcpy(&element, plain + i * sizeof element, sizeof element);
    element = static_cast<Element>(element << left | (rotate_sign ? element >> (kBits - 1) : 0));
    for (unsigned p = 0; p < sizeof element; ++p) planes[p][i] = static_cast<uint8_t>(element >> (8 * p));
  }
}

template <typename Element>
void MergeElements(const uint8_t* const* planes, size_t count, bool rotate_sign, uint8_t* plain) {
  constexpr unsigned kBits = 8 * sizeof(Element);
  const unsigned right = rotate_sign ? 1 : 0;
  for (size_t i = 0; i < count; ++i) {
    Element element = 0;
    for (unsigned p = 0; p < sizeof element; ++p) {
      element = static_cast<Element>(element | static_cast<Element>(planes[p][i]) << (8 * p));
    }
    element = static_cast<Element>(element >> right | (rotate_sign ? element << (kBits - 1) : 0));
    memcpy(plain + i * sizeof element, &element, sizeof element);
  }
}

void SplitPlanes(const uint8_t* plain, size_t count, unsigned element_bytes, bool rotate_sign, uint8_t* const* planes) {
  switch (element_bytes) {
    case 2:
      return SplitElements<uint16_t>(plain, count, rotate_sign, planes);
    case 4:
      return SplitElements<uint32_t>(plain, count, rotate_sign, planes);
    default:
      return SplitElements<uint64_t>(plain, count, rotate_sign, planes);
  }
}

void MergePlanes(const uint8_t* const* planes, size_t count, unsigned element_bytes, bool rotate_sign, uint8_t* plain) {
  switch (element_bytes) {
    case 2:
      return MergeElements<uint16_t>(planes, count, rotate_sign, plain);
    case 4:
      return MergeElements<uint32_t>(planes, count, rotate_sign, plain);
    default:
      return MergeElements<uint64_t>(planes, count, rotate_sign, plain);
  }
}

}  // namespace

const Kernels kScalarKernels = {
    .name = "scalar",
    .split_planes = SplitPlanes,
    .merge_planes = MergePlanes,
};

}  // namespace entrofs::codec
