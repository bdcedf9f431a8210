#include "packer/quantize/archive_estimate.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/parallel.h"
#include "codec/codec.h"

namespace entrofs::packer::quantize {
namespace {

constexpr uint64_t kSampleBytes = 256 << 10;
constexpr uint64_t kMaxSamples = 64;

codec::Layout LayoutFor(std::optional<source::Dtype> dtype) {
  if (!dtype) return {};
  switch (*dtype) {
    case source::Dtype::kBf16:
    case source::Dtype::kF16:
      return {2, true};
    case source::Dtype::kF32:
      return {4, true};
    case source::Dtype::kF64:
      return {8, true};
    default:
      return {};
  }
}

// One plane of a sample coded in the cheapest way, in bytes.
double PlaneBytes(const codec::Histogram& histogram) {
  const double plain = static_cast<double>(std::accumulate(histogram.begin(), histogram.end(), uint64_t{0}));
  return std::min(plain, codec::EntropyBits(histogram) / 8);
}

double ZstdBytes(ByteSpan sample) {
  codec::PlaneEncoder plane{codec::CodecKind::kZstd, nullptr};
  codec::Scratch scratch;
  std::vector<uint8_t> out;
  codec::EncodeSegment({}, {&plane, 1}, sample, scratch, out);
  return static_cast<double>(out.size());
}

}  // namespace

Result<double> EstimateArchiveBytes(const RandomAccessFile& bytes, std::optional<source::Dtype> dtype,
                                    ThreadPool& pool) {
  const codec::Layout layout = LayoutFor(dtype);
  const uint64_t size = bytes.size() / layout.element_bytes * layout.element_bytes;
  if (size == 0) return static_cast<double>(bytes.size());
  const uint64_t samples = std::min(kMaxSamples, (size + kSampleBytes - 1) / kSampleBytes);
  std::vector<double> coded(samples), plain(samples);
  Status status = ParallelForStatus(pool, samples, [&](size_t i) -> Status {
    const uint64_t offset = size / samples * i / layout.element_bytes * layout.element_bytes;
    std::vector<uint8_t> sample(std::min(kSampleBytes, size - offset));
    ENTROFS_RETURN_IF_ERROR(bytes.ReadAt(offset, sample));
    std::vector<codec::Histogram> planes(layout.plane_count());
    codec::CountPlanes(layout, sample, planes);
    for (const codec::Histogram& plane : planes) coded[i] += PlaneBytes(plane);
    if (!dtype) coded[i] = std::min(coded[i], ZstdBytes(sample));
    plain[i] = static_cast<double>(sample.size());
    return OkStatus();
  });
  if (!status) return status.error();
  const double share =
      std::accumulate(coded.begin(), coded.end(), 0.0) / std::accumulate(plain.begin(), plain.end(), 0.0);
  return share * static_cast<double>(bytes.size());
}

}  // namespace entrofs::packer::quantize
