#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "codec/codec.h"

namespace entrofs::packer::pack {

// How often each byte value occurs in each plane of one layout.
struct LayoutCounts {
  codec::Layout layout;
  std::vector<codec::Histogram> planes;

  // Order-0 entropy of all planes together.
  double EntropyBits() const;
};

struct Measurement {
  std::vector<LayoutCounts> layouts;  // in the order asked for
  uint64_t fingerprint = 0;           // equal bytes have equal fingerprints; unequal ones nearly never
};

// Reads all of `bytes` once, on the threads of `pool` and the caller, with bounded memory. The result does not depend
// on the number of threads. Errors are those of `bytes`. Requires: no layout that begins_anew().
Result<Measurement> Measure(const RandomAccessFile& bytes, std::span<const codec::Layout> layouts, ThreadPool& pool);

// The same of no more than kMeasuredAtOnceBytes, on the calling thread alone, and for layouts that begins_anew() too.
inline constexpr uint64_t kMeasuredAtOnceBytes = 1 << 20;
Result<Measurement> MeasureAtOnce(const RandomAccessFile& bytes, std::span<const codec::Layout> layouts,
                                  uint32_t segment_bytes);

// Adds the counts of `from`, which has the same layout.
void AddCounts(const LayoutCounts& from, LayoutCounts& to);

// Whether two files hold the same bytes. Errors are those of the files.
Result<bool> SameBytes(const RandomAccessFile& a, const RandomAccessFile& b, ThreadPool& pool);

}  // namespace entrofs::packer::pack
