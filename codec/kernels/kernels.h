#pragma once

#include <stddef.h>
#include <stdint.h>

// The inner loops of the codec, one set per instruction set. Kernel files are compiled with their own CPU flags, so
// they include only C headers, intrinsics and this file, and keep everything but their one table in an anonymous
// namespace: an inline function compiled for one CPU must not become the copy the whole program uses.
namespace entrofs::codec {

struct Kernels {
  const char* name;  // as in SupportedKernels()

  // planes[p][i] = byte p of element i, i < count, where element i are the element_bytes little-endian bytes at
  // plain + i * element_bytes, rotated left by one bit if rotate_sign.
  // Requires: element_bytes is 2, 4 or 8; no overlap.
  void (*split_planes)(const uint8_t* plain, size_t count, unsigned element_bytes, bool rotate_sign,
                       uint8_t* const* planes);
  // The inverse.
  void (*merge_planes)(const uint8_t* const* planes, size_t count, unsigned element_bytes, bool rotate_sign,
                       uint8_t* plain);
};

extern const Kernels kScalarKernels;  // the reference

// The set in use.
const Kernels& Active();

}  // namespace entrofs::codec
