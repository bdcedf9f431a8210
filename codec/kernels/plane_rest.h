#pragma once

#include "codec/kernels/kernels.h"

// What vector kernels leave over of Kernels::split_planes and merge_planes, for the scalar one. In an anonymous
// namespace, because each kernel file needs a copy for its own CPU.
namespace entrofs::codec {
namespace {

// Elements `done` to `count`.
inline void SplitRest(const uint8_t* plain, size_t done, size_t count, unsigned element_bytes, bool rotate_sign,
                      uint8_t* const* planes) {
  uint8_t* rest[8];
  for (unsigned p = 0; p < element_bytes; ++p) rest[p] = planes[p] + done;
  kScalarKernels.split_planes(plain + done * element_bytes, count - done, element_bytes, rotate_sign, rest);
}

inline void MergeRest(const uint8_t* const* planes, size_t done, size_t count, unsigned element_bytes, bool rotate_sign,
                      uint8_t* plain) {
  const uint8_t* rest[8];
  for (unsigned p = 0; p < element_bytes; ++p) rest[p] = planes[p] + done;
  kScalarKernels.merge_planes(rest, count - done, element_bytes, rotate_sign, plain + done * element_bytes);
}

}  // namespace
}  // namespace entrofs::codec
