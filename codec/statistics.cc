// Counting byte values.

#include <algorithm>

#include "base/portable_math.h"
#include "codec/codec.h"
#include "codec/units.h"

namespace entrofs::codec {
namespace {

// Bytes of a plane that are split and counted at a time: small enough to stay in the nearest cache, enough for a block.
constexpr size_t kBytesPerBatch = 16 << 10;
static_assert(kBytesPerBatch >= kMaxBlockBytes);

}  // namespace

void CountBytes(ByteSpan plain, Histogram& histogram) {
  // Eight tables, so that runs of one value do not wait for the same counter.
  uint32_t counts[8][256] = {};
  const uint8_t* p = plain.data();
  size_t n = plain.size();
  while (n > 0) {
    size_t batch = n < (1u << 30) ? n : (1u << 30);
    size_t i = 0;
    for (; i + 8 <= batch; i += 8) {
      uint64_t eight = LoadLe<uint64_t>(p + i);
      ++counts[0][eight & 0xff];
      ++counts[1][eight >> 8 & 0xff];
      ++counts[2][eight >> 16 & 0xff];
      ++counts[3][eight >> 24 & 0xff];
      ++counts[4][eight >> 32 & 0xff];
      ++counts[5][eight >> 40 & 0xff];
      ++counts[6][eight >> 48 & 0xff];
      ++counts[7][eight >> 56];
    }
    for (; i < batch; ++i) ++counts[0][p[i]];
    for (auto& table : counts) {
      for (int value = 0; value < 256; ++value) {
        histogram[value] += table[value];
        table[value] = 0;
      }
    }
    p += batch;
    n -= batch;
  }
}

double EntropyBits(const Histogram& histogram) {
  double total = 0;
  double sum = 0;
  for (uint64_t count : histogram) {
    if (count == 0) continue;
    double c = static_cast<double>(count);
    total += c;
    sum += c * Log2(c);
  }
  return total == 0 ? 0 : total * Log2(total) - sum;
}

void CountPlanes(const Layout& layout, ByteSpan plain, std::span<Histogram> histograms) {
  if (IsPlainBytes(layout)) return CountBytes(plain, histograms[0]);
  if (layout.delta) {
    std::vector<uint8_t> differences(plain.size() / layout.element_bytes * layout.element_bytes);
    TakeDifferences(layout, plain.data(), differences.size() / layout.element_bytes, differences.data());
    return CountPlanes({.element_bytes = layout.element_bytes}, differences, histograms);
  }
  if (layout.trellis) {
    std::vector<uint8_t> indices(plain.size());
    uint8_t* plane = indices.data();
    SplitUnits(layout, plain.data(), plain.size(), &plane);
    return CountBytes(indices, histograms[0]);
  }
  uint8_t batch[kMaxPlanes][kBytesPerBatch];
  uint8_t* planes[kMaxPlanes];
  for (size_t p = 0; p < kMaxPlanes; ++p) planes[p] = batch[p];
  const size_t unit_bytes = layout.unit_bytes();
  const size_t units_per_batch =
      layout.block.empty() ? kBytesPerBatch : std::max<size_t>(1, kBytesPerBatch / unit_bytes);
  const size_t count = plain.size() / unit_bytes;
  for (size_t first = 0; first < count; first += units_per_batch) {
    const size_t n = std::min(units_per_batch, count - first);
    SplitUnits(layout, plain.data() + first * unit_bytes, n, planes);
    for (size_t p = 0; p < layout.plane_count(); ++p) {
      CountBytes({planes[p], n * PlaneBytesPerUnit(layout, p)}, histograms[p]);
    }
  }
}

}  // namespace entrofs::codec
