// Elements, differences of elements, and blocks. See docs/codec-format.md, "Segment".

#include "codec/units.h"

#include <algorithm>
#include <cstring>

#include "codec/kernels/kernels.h"

namespace entrofs::codec {
namespace {

// Elements whose differences are taken at a time: they stay in the nearest cache.
constexpr size_t kBatch = 1024;

template <typename T>
T Difference(const uint8_t* plain, size_t count, T previous, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const T element = LoadLe<T>(plain + i * sizeof(T));
    StoreLe<T>(out + i * sizeof(T), static_cast<T>(element - previous));
    previous = element;
  }
  return previous;
}

template <typename T>
void Accumulate(uint8_t* plain, T sum, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    sum = static_cast<T>(sum + LoadLe<T>(plain + i * sizeof(T)));
    StoreLe<T>(plain + i * sizeof(T), sum);
  }
}

void SplitElements(const Layout& layout, const uint8_t* plain, size_t count, uint8_t* const* planes) {
  if (layout.element_bytes == 1) {
    std::memcpy(planes[0], plain, count);
  } else {
    Active().split_planes(plain, count, layout.element_bytes, layout.rotate_sign, planes);
  }
}

template <typename T>
void SplitDifferences(const Layout& layout, const uint8_t* plain, size_t count, uint8_t* const* planes) {
  uint8_t differences[kBatch * sizeof(T)];
  uint8_t* rest[kMaxPlanes];
  T previous = 0;
  for (size_t first = 0; first < count; first += kBatch) {
    const size_t size = std::min(kBatch, count - first);
    previous = Difference<T>(plain + first * sizeof(T), size, previous, differences);
    for (size_t p = 0; p < sizeof(T); ++p) rest[p] = planes[p] + first;
    SplitElements(layout, differences, size, rest);
  }
}

template <typename T>
void MergeDifferences(const Layout& layout, const uint8_t* const* planes, size_t before, size_t count, uint8_t* plain) {
  if (sizeof(T) == 1) {
    std::memcpy(plain, planes[0], count);
  } else {
    Active().merge_planes(planes, count, layout.element_bytes, false, plain);
  }
  Accumulate<T>(plain, before == 0 ? T{0} : LoadLe<T>(plain - sizeof(T)), count);
}

// Short fields are copied without a call.
void CopyField(uint8_t* to, const uint8_t* from, size_t bytes) {
  switch (bytes) {
    case 1:
      *to = *from;
      return;
    case 2:
      std::memcpy(to, from, 2);
      return;
    case 16:
      std::memcpy(to, from, 16);
      return;
    case 32:
      std::memcpy(to, from, 32);
      return;
    default:
      std::memcpy(to, from, bytes);
  }
}

void SplitBlocks(const Layout& layout, const uint8_t* plain, size_t count, uint8_t* const* planes) {
  uint8_t* at[kMaxPlanes];
  std::copy_n(planes, layout.plane_count(), at);
  for (size_t i = 0; i < count; ++i) {
    for (const BlockField& field : layout.block) {
      CopyField(at[field.plane], plain, field.bytes);
      at[field.plane] += field.bytes;
      plain += field.bytes;
    }
  }
}

void MergeBlocks(const Layout& layout, const uint8_t* const* planes, size_t count, uint8_t* plain) {
  const uint8_t* at[kMaxPlanes];
  std::copy_n(planes, layout.plane_count(), at);
  for (size_t i = 0; i < count; ++i) {
    for (const BlockField& field : layout.block) {
      CopyField(plain, at[field.plane], field.bytes);
      at[field.plane] += field.bytes;
      plain += field.bytes;
    }
  }
}

}  // namespace

bool IsPlainBytes(const Layout& layout) {
  return layout.element_bytes == 1 && !layout.delta && !layout.trellis && layout.block.empty();
}

size_t PlaneBytesPerUnit(const Layout& layout, size_t plane) {
  if (layout.block.empty()) return 1;
  size_t bytes = 0;
  for (const BlockField& field : layout.block) bytes += field.plane == plane ? field.bytes : 0;
  return bytes;
}

void SplitUnits(const Layout& layout, const uint8_t* plain, size_t count, uint8_t* const* planes) {
  if (!layout.block.empty()) return SplitBlocks(layout, plain, count, planes);
  if (layout.trellis) return Active().split_trellis(plain, count, planes[0]);
  if (!layout.delta) return SplitElements(layout, plain, count, planes);
  switch (layout.element_bytes) {
    case 1:
      return SplitDifferences<uint8_t>(layout, plain, count, planes);
    case 2:
      return SplitDifferences<uint16_t>(layout, plain, count, planes);
    case 4:
      return SplitDifferences<uint32_t>(layout, plain, count, planes);
    default:
      return SplitDifferences<uint64_t>(layout, plain, count, planes);
  }
}

void TakeDifferences(const Layout& layout, const uint8_t* plain, size_t count, uint8_t* out) {
  switch (layout.element_bytes) {
    case 1:
      Difference<uint8_t>(plain, count, 0, out);
      return;
    case 2:
      Difference<uint16_t>(plain, count, 0, out);
      return;
    case 4:
      Difference<uint32_t>(plain, count, 0, out);
      return;
    default:
      Difference<uint64_t>(plain, count, 0, out);
  }
}

void MergeUnits(const Layout& layout, const uint8_t* const* planes, size_t before, size_t count, uint8_t* plain) {
  if (!layout.block.empty()) return MergeBlocks(layout, planes, count, plain);
  if (layout.trellis) return Active().merge_trellis(planes[0], count, plain);
  if (!layout.delta) return Active().merge_planes(planes, count, layout.element_bytes, layout.rotate_sign, plain);
  switch (layout.element_bytes) {
    case 1:
      return MergeDifferences<uint8_t>(layout, planes, before, count, plain);
    case 2:
      return MergeDifferences<uint16_t>(layout, planes, before, count, plain);
    case 4:
      return MergeDifferences<uint32_t>(layout, planes, before, count, plain);
    default:
      return MergeDifferences<uint64_t>(layout, planes, before, count, plain);
  }
}

}  // namespace entrofs::codec
