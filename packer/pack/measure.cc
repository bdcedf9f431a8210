#include "packer/pack/measure.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstring>
#include <functional>
#include <numeric>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/parallel.h"

namespace entrofs::packer::pack {
namespace {

// About; chunks begin with an element or block of every layout.
constexpr uint64_t kChunkBytes = kMeasuredAtOnceBytes;

uint64_t ChunkBytes(std::span<const codec::Layout> layouts) {
  uint64_t unit_bytes = 1;
  for (const codec::Layout& layout : layouts) unit_bytes = std::lcm(unit_bytes, uint64_t{layout.unit_bytes()});
  return std::max(unit_bytes, kChunkBytes / unit_bytes * unit_bytes);
}

// Calls visit(worker, chunk number, offset, size) for every chunk of `size` bytes until one fails; returns the first
// error. Calls of one worker follow one another.
using Visit = std::function<Status(size_t worker, uint64_t chunk, uint64_t offset, size_t size)>;
Status ForEachChunk(uint64_t size, uint64_t chunk_bytes, ThreadPool& pool, const Visit& visit) {
  const uint64_t chunks = (size + chunk_bytes - 1) / chunk_bytes;
  const size_t workers = static_cast<size_t>(std::min<uint64_t>(chunks, pool.thread_count() + 1));
  std::atomic<uint64_t> next{0};
  return ParallelForStatus(pool, workers, [&](size_t worker) -> Status {
    for (uint64_t chunk = next++; chunk < chunks; chunk = next++) {
      const uint64_t offset = chunk * chunk_bytes;
      Status status = visit(worker, chunk, offset, static_cast<size_t>(std::min(chunk_bytes, size - offset)));
      if (status) continue;
      next = chunks;
      return status;
    }
    return OkStatus();
  });
}

size_t WorkerCount(const ThreadPool& pool) { return pool.thread_count() + 1; }

std::vector<LayoutCounts> NoCounts(std::span<const codec::Layout> layouts) {
  std::vector<LayoutCounts> counts;
  for (const codec::Layout& layout : layouts) {
    counts.push_back({layout, std::vector<codec::Histogram>(layout.plane_count(), codec::Histogram{})});
  }
  return counts;
}

uint64_t Fingerprint(const std::vector<uint64_t>& chunk_hashes, uint64_t size) {
  return Hash64({reinterpret_cast<const uint8_t*>(chunk_hashes.data()), chunk_hashes.size() * sizeof(uint64_t)}, size);
}

}  // namespace

void AddCounts(const LayoutCounts& from, LayoutCounts& to) {
  for (size_t p = 0; p < to.planes.size(); ++p) {
    for (size_t value = 0; value < 256; ++value) to.planes[p][value] += from.planes[p][value];
  }
}

double LayoutCounts::EntropyBits() const {
  double bits = 0;
  for (const codec::Histogram& plane : planes) bits += codec::EntropyBits(plane);
  return bits;
}

Result<Measurement> Measure(const RandomAccessFile& bytes, std::span<const codec::Layout> layouts, ThreadPool& pool) {
  struct Worker {
    Buffer chunk;
    std::vector<LayoutCounts> counts;
  };
  std::vector<Worker> workers(WorkerCount(pool));
  const uint64_t chunk_bytes = ChunkBytes(layouts);
  std::vector<uint64_t> hashes((bytes.size() + chunk_bytes - 1) / chunk_bytes);
  auto count = [&](size_t index, uint64_t chunk, uint64_t offset, size_t size) -> Status {
    Worker& worker = workers[index];
    if (worker.counts.empty()) worker.counts = NoCounts(layouts);
    worker.chunk.Reserve(size);
    ENTROFS_RETURN_IF_ERROR(bytes.ReadAt(offset, worker.chunk.span()));
    hashes[chunk] = Hash64(worker.chunk.span());
    for (LayoutCounts& counts : worker.counts) {
      codec::CountPlanes(counts.layout, worker.chunk.span(), counts.planes);
    }
    return OkStatus();
  };
  ENTROFS_RETURN_IF_ERROR(ForEachChunk(bytes.size(), chunk_bytes, pool, count));
  Measurement measurement{NoCounts(layouts), 0};
  for (const Worker& worker : workers) {
    for (size_t i = 0; i < worker.counts.size(); ++i) AddCounts(worker.counts[i], measurement.layouts[i]);
  }
  measurement.fingerprint = Fingerprint(hashes, bytes.size());
  return measurement;
}

Result<Measurement> MeasureAtOnce(const RandomAccessFile& bytes, std::span<const codec::Layout> layouts,
                                  uint32_t segment_bytes) {
  assert(bytes.size() <= kMeasuredAtOnceBytes);
  Buffer chunk(bytes.size());
  ENTROFS_RETURN_IF_ERROR(bytes.ReadAt(0, chunk.span()));
  Measurement measurement{NoCounts(layouts), 0};
  for (LayoutCounts& counts : measurement.layouts) {
    const size_t step = counts.layout.begins_anew() ? segment_bytes : kMeasuredAtOnceBytes;
    for (size_t offset = 0; offset < bytes.size(); offset += step) {
      const ByteSpan segment = ByteSpan(chunk.span()).subspan(offset, std::min(step, chunk.size() - offset));
      codec::CountPlanes(counts.layout, segment, counts.planes);
    }
  }
  std::vector<uint64_t> hashes;
  const uint64_t chunk_bytes = ChunkBytes(layouts);
  for (size_t offset = 0; offset < bytes.size(); offset += chunk_bytes) {
    hashes.push_back(Hash64(ByteSpan(chunk.span()).subspan(offset, std::min(chunk_bytes, bytes.size() - offset))));
  }
  measurement.fingerprint = Fingerprint(hashes, bytes.size());
  return measurement;
}

Result<bool> SameBytes(const RandomAccessFile& a, const RandomAccessFile& b, ThreadPool& pool) {
  if (a.size() != b.size()) return false;
  std::vector<std::pair<Buffer, Buffer>> workers(WorkerCount(pool));
  std::atomic<bool> same{true};
  auto compare = [&](size_t worker, uint64_t, uint64_t offset, size_t size) -> Status {
    if (!same) return OkStatus();
    auto& [left, right] = workers[worker];
    left.Reserve(size);
    right.Reserve(size);
    ENTROFS_RETURN_IF_ERROR(a.ReadAt(offset, left.span()));
    ENTROFS_RETURN_IF_ERROR(b.ReadAt(offset, right.span()));
    if (std::memcmp(left.data(), right.data(), size) != 0) same = false;
    return OkStatus();
  };
  ENTROFS_RETURN_IF_ERROR(ForEachChunk(a.size(), kChunkBytes, pool, compare));
  return same.load();
}

}  // namespace entrofs::packer::pack
