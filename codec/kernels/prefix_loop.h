#pragma once

#include <string.h>

#include "codec/kernels/kernels.h"

// The inner loop of Kernels::decode_prefix, the same source for every kernel file: compiled with BMI2 it needs a third
// fewer instructions. In an anonymous namespace, because each file needs a copy for its own CPU.
namespace entrofs::codec {
namespace {

bool DecodePrefix(const uint32_t* pair_lookup, size_t count, size_t stride, PrefixCursor& cursor, uint8_t* held) {
  // Copies, because stores through `held` could change what `cursor` says as far as the compiler knows.
  const uint8_t* at[4] = {cursor.at[0], cursor.at[1], cursor.at[2], cursor.at[3]};
  const uint8_t* const end[4] = {cursor.end[0], cursor.end[1], cursor.end[2], cursor.end[3]};
  uint64_t used[4] = {cursor.used[0], cursor.used[1], cursor.used[2], cursor.used[3]};
  for (uint8_t* const last = held + count; held != last; held += kPrefixBatch) {
    if (at[0] > end[0] || at[1] > end[1] || at[2] > end[2] || at[3] > end[3]) [[unlikely]] {
      return false;
    }
    uint64_t window[4];
#pragma GCC unroll 4
    for (unsigned run = 0; run < 4; ++run) {
      memcpy(&window[run], at[run], sizeof window[run]);
      window[run] >>= used[run];
    }
#pragma GCC unroll 4
    for (unsigned pair = 0; pair < kPrefixBatch / 2; ++pair) {
#pragma GCC unroll 4
      for (unsigned run = 0; run < 4; ++run) {
        const uint64_t entry = pair_lookup[window[run] & (kPairLookupSize - 1)];
        const uint16_t two = static_cast<uint16_t>(entry >> 8);
        memcpy(held + run * stride + 2 * pair, &two, sizeof two);
        window[run] >>= entry & 63;
        used[run] += entry;  // only the low byte counts
      }
    }
#pragma GCC unroll 4
    for (unsigned run = 0; run < 4; ++run) {
      at[run] += (used[run] & 0xff) >> 3;
      used[run] &= 7;
    }
  }
  for (unsigned run = 0; run < 4; ++run) {
    cursor.at[run] = at[run];
    cursor.used[run] = static_cast<unsigned>(used[run]);
  }
  return true;
}

}  // namespace
}  // namespace entrofs::codec
