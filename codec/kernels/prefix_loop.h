#pragma once

#include <string.h>

#include "codec/kernels/kernels.h"

// Kernels::decode_prefix and decode_escapes, the same source for every kernel file: compiled with BMI2 it needs a fifth
// fewer instructions. In an anonymous namespace, because each file needs a copy for its own CPU.
//
// Four strings are four chains of lookups, and their latency is what limits the rate: hence several codes a lookup and
// several lookups a refill, and nothing else in a chain.
namespace entrofs::codec {
namespace {

template <typename Tables>
constexpr unsigned kLookupsPerRefill = 56 / Tables::kLookupBits;
template <typename Tables>
constexpr size_t kMostPerRefill = Tables::kMostCodes* kLookupsPerRefill<Tables>;
// A lookup writes four bytes, however many codes there can be.
template <typename Tables>
constexpr size_t kWrittenBeyond = sizeof(uint32_t) - Tables::kMostCodes;
// After so many refills, of at most 7 bytes each, the strings' ends are looked at: less than kKernelSlackBytes.
constexpr size_t kRefillsPerCheck = 32;

// One string while it is decoded: bits `used` and up of *at are next, `out` is where the next held byte goes.
struct PrefixRun {
  const uint8_t* at;
  const uint8_t* end;
  unsigned used;
  uint8_t* out;
  uint8_t* out_end;

  uint64_t Window() const {
    uint64_t window;
    memcpy(&window, at, sizeof window);
    return window >> used;
  }
  void Skip(unsigned bits) {
    at += (used + bits) >> 3;
    used = (used + bits) & 7;
  }
};

// Decodes what is left of a run's outputs. False when its string ends before.
template <typename Tables>
bool DecodeRest(const Tables& tables, PrefixRun& run) {
  while (run.out != run.out_end) {
    if (run.at > run.end) return false;
    const uint64_t window = run.Window();
    const uint32_t entry = tables.lookup[window % Tables::kLookupSize];
    const uint32_t bytes = entry >> 6;
    if (run.out_end - run.out >= 4) {
      memcpy(run.out, &bytes, sizeof bytes);
      run.out += entry >> 30;
      run.Skip(entry & 63);
    } else {
      *run.out++ = static_cast<uint8_t>(bytes);
      run.Skip(tables.first_bits[window % Tables::kFirstSize]);
    }
  }
  return true;
}

// Refills every string `times` times and decodes what that gives.
#ifdef __aarch64__
// All four side by side, because many of these cores execute in order or nearly so, in as few instructions as possible.
template <typename Tables>
inline __attribute__((always_inline)) void DecodeRefills(const Tables& tables, size_t times, PrefixRun* runs) {
  const uint8_t* at[4] = {runs[0].at, runs[1].at, runs[2].at, runs[3].at};
  uint64_t used[4] = {runs[0].used, runs[1].used, runs[2].used, runs[3].used};
  uint8_t* out[4] = {runs[0].out, runs[1].out, runs[2].out, runs[3].out};
  for (; times > 0; --times) {
    // A bit on top of each window, which is wider than the lookups need, counts what is shifted out below.
    uint64_t window[4];
#pragma GCC unroll 4
    for (unsigned run = 0; run < 4; ++run) {
      memcpy(&window[run], at[run], sizeof window[run]);
      window[run] = (window[run] | uint64_t{1} << 63) >> used[run];
    }
#pragma GCC unroll 5
    for (unsigned i = 0; i < kLookupsPerRefill<Tables>; ++i) {
#pragma GCC unroll 4
      for (unsigned run = 0; run < 4; ++run) {
        const uint64_t entry = tables.lookup[window[run] % Tables::kLookupSize];
        const uint32_t bytes = static_cast<uint32_t>(entry >> 6);
        window[run] >>= entry & 63;
        memcpy(out[run], &bytes, sizeof bytes);
        out[run] += entry >> 30;
        asm("" : "+r"(out[run]));  // the sum, with its shift one instruction, and not its parts as the next address
      }
    }
#pragma GCC unroll 4
    for (unsigned run = 0; run < 4; ++run) {
      const uint64_t bits = static_cast<uint64_t>(__builtin_clzll(window[run]));
      at[run] += bits >> 3;
      used[run] = bits & 7;
    }
  }
  for (unsigned run = 0; run < 4; ++run) {
    runs[run].at = at[run];
    runs[run].used = static_cast<unsigned>(used[run]);
    runs[run].out = out[run];
  }
}

#else
// One string after the other, because 16 registers hold no more; these CPUs look far enough ahead to overlap them. A
// refill loads from where the one before has ended, so that no lookup waits for a load but its own.
template <typename Tables>
inline __attribute__((always_inline)) void DecodeRefills(const Tables& tables, size_t times, PrefixRun* runs) {
  // window: bits from the next on. count: how many of them are sure, in its low six bits. next: the byte after those.
  const uint8_t* next[4];
  uint64_t window[4];
  uint64_t count[4];
  uint8_t* out[4];
  for (unsigned run = 0; run < 4; ++run) {
    window[run] = runs[run].Window();
    count[run] = 56 - runs[run].used;
    next[run] = runs[run].at + 7;
    out[run] = runs[run].out;
  }
  for (; times > 0; --times) {
#pragma GCC unroll 4
    for (unsigned run = 0; run < 4; ++run) {
      uint64_t word;
      memcpy(&word, next[run], sizeof word);
      window[run] |= word << (count[run] & 63);
      next[run] += (~count[run] & 63) >> 3;
      count[run] |= 56;
#pragma GCC unroll 5
      for (unsigned i = 0; i < kLookupsPerRefill<Tables>; ++i) {
        const uint32_t entry = tables.lookup[window[run] % Tables::kLookupSize];
        const uint32_t bytes = entry >> 6;
        window[run] >>= entry & 63;
        count[run] -= entry;
        memcpy(out[run], &bytes, sizeof bytes);
        out[run] += entry >> 30;
      }
    }
  }
  for (unsigned run = 0; run < 4; ++run) {
    const unsigned unread = count[run] & 63;
    runs[run].at = next[run] - (unread + 7) / 8;
    runs[run].used = (8 - unread % 8) % 8;
    runs[run].out = out[run];
  }
}
#endif

template <typename Tables>
bool DecodeRuns(const Tables& tables, const size_t* counts, size_t stride, PrefixCursor& cursor, uint8_t* held) {
  PrefixRun runs[4];
  for (unsigned j = 0; j < 4; ++j) {
    runs[j] = {cursor.at[j], cursor.end[j], cursor.used[j], held + j * stride, held + j * stride + counts[j]};
  }
  for (;;) {
    size_t least = counts[0];
    for (const PrefixRun& run : runs) {
      if (run.at > run.end) return false;
      const size_t left = static_cast<size_t>(run.out_end - run.out);
      least = left < least ? left : least;
    }
    // What is written beyond may belong to the next run.
    if (least < kMostPerRefill<Tables> + kWrittenBeyond<Tables>) break;
    const size_t times = (least - kWrittenBeyond<Tables>) / kMostPerRefill<Tables>;
    DecodeRefills(tables, times < kRefillsPerCheck ? times : kRefillsPerCheck, runs);
  }
  for (unsigned j = 0; j < 4; ++j) {
    if (!DecodeRest(tables, runs[j])) return false;
    cursor.at[j] = runs[j].at;
    cursor.used[j] = runs[j].used;
  }
  return true;
}

bool DecodePrefix(const PrefixTables& tables, const size_t* counts, size_t stride, PrefixCursor& cursor,
                  uint8_t* held) {
  return DecodeRuns(tables, counts, stride, cursor, held);
}

bool DecodeEscapes(const EscapeTables& tables, const size_t* counts, size_t stride, PrefixCursor& cursor,
                   uint8_t* held) {
  return DecodeRuns(tables, counts, stride, cursor, held);
}

}  // namespace
}  // namespace entrofs::codec
