#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

// What a mount counts, readable with `entrofs status`.
namespace entrofs::fs {

enum class Counter {
  kReads,
  kReadBytes,
  kReadErrors,
  kSegmentsDecoded,
  kDecodedBytes,
  kDecodeErrors,
  kDecodeNanoseconds,
  kSegmentsPrefetched,
  kCacheHits,
  kCacheJoins,
  kCacheMisses,
  kCacheEvictions,
  kCacheBytes,
  kCacheBudgetBytes,
  kMemoryShortages,
  kFilledBytes,
  kArchiveMemoryBytes,
  kDecodedMemoryBytes,
  kCount
};
inline constexpr size_t kCounterCount = static_cast<size_t>(Counter::kCount);

struct CounterInfo {
  std::string_view name;  // as in `entrofs status --json`; stable
  std::string_view unit;
  std::string_view meaning;
};
inline constexpr std::array<CounterInfo, kCounterCount> kCounterInfo = {{
    {"reads", "requests", "read requests of the kernel"},
    {"read_bytes", "bytes", "bytes those requests were answered with"},
    {"read_errors", "requests", "read requests answered with an error"},
    {"segments_decoded", "segments", "segments read from the archive and decoded"},
    {"decoded_bytes", "bytes", "plain bytes those segments hold"},
    {"decode_errors", "segments", "segments that could not be read or were corrupt"},
    {"decode_ns", "nanoseconds", "time spent reading and decoding, summed over threads"},
    {"segments_prefetched", "segments", "segments decoded ahead of a reader; part of segments_decoded"},
    {"cache_hits", "segments", "segments found decoded"},
    {"cache_joins", "segments", "segments found being decoded for somebody else"},
    {"cache_misses", "segments", "segments decoded into the cache"},
    {"cache_evictions", "segments", "segments given up for others"},
    {"cache_bytes", "bytes", "decoded bytes held now"},
    {"cache_budget_bytes", "bytes", "decoded bytes that may be held"},
    {"memory_shortages", "times", "memory became short, and cache_budget_bytes shrank"},
    {"filled_bytes", "bytes", "bytes put into the page cache around tiny reads"},
    {"archive_memory_bytes", "bytes", "bytes of the archive kept in memory"},
    {"decoded_memory_bytes", "bytes", "bytes of files that engine memory holds decoded"},
}};

using CounterValues = std::array<uint64_t, kCounterCount>;

// Thread-safe sums. Those that belong to somebody else (cache_*) are filled in when asked for.
class Counters {
 public:
  void Add(Counter counter, uint64_t amount = 1) {
    values_[static_cast<size_t>(counter)].fetch_add(amount, std::memory_order_relaxed);
  }
  CounterValues values() const {
    CounterValues copy;
    for (size_t i = 0; i < kCounterCount; ++i) copy[i] = values_[i].load(std::memory_order_relaxed);
    return copy;
  }

 private:
  std::array<std::atomic<uint64_t>, kCounterCount> values_{};
};

}  // namespace entrofs::fs
