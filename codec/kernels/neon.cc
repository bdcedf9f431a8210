// NEON kernels (aarch64). A 64-byte table is four registers, and one instruction looks 16 bytes up in it.
//
// The 32-bit windows are kept as two planes of 16 bits, high and low. A step takes at most 6 bits, so the low plane is
// shifted into the high one only every second step.

#include <arm_neon.h>
#include <string.h>

#include "codec/kernels/kernels.h"
#include "codec/kernels/plane_rest.h"
#include "codec/kernels/refill_table.h"

namespace entrofs::codec {
namespace {

constexpr size_t kRoundsPerChunk = 8;  // decoded to held bytes before they are finished
constexpr unsigned kGroups = 4;        // of 16 lanes, one byte register each, two 16-bit registers per plane

#define ENTROFS_INLINE inline __attribute__((always_inline))

// A table of 64 bytes.
ENTROFS_INLINE uint8x16x4_t LoadTable(const uint8_t* table) { return vld1q_u8_x4(table); }

// The registers of 16 consecutive lanes.
struct Group {
  uint16x8_t high[2];
  uint16x8_t low[2];
  uint8x16_t consumed;
  uint8x16_t state;
};

Group LoadGroup(const TansLanes& lanes, unsigned g) {
  Group group;
  for (unsigned v = 0; v < 2; ++v) {
    const uint16x8x2_t halves = vld2q_u16(reinterpret_cast<const uint16_t*>(lanes.window + 16 * g + 8 * v));
    group.low[v] = halves.val[0];
    group.high[v] = halves.val[1];
  }
  group.consumed = vld1q_u8(lanes.consumed + 16 * g);
  group.state = vld1q_u8(lanes.state + 16 * g);
  return group;
}

void StoreGroup(const Group& group, unsigned g, TansLanes& lanes) {
  for (unsigned v = 0; v < 2; ++v) {
    vst2q_u16(reinterpret_cast<uint16_t*>(lanes.window + 16 * g + 8 * v), {{group.low[v], group.high[v]}});
  }
  vst1q_u8(lanes.consumed + 16 * g, group.consumed);
  vst1q_u8(lanes.state + 16 * g, group.state);
}

// Round 0 loads four bytes per lane, more than Refill does. False when main has fewer.
bool LoadFirstWindows(TansLanes& lanes, StreamCursor& cursor) {
  if (static_cast<size_t>(cursor.main_end - cursor.main) < sizeof lanes.window) return false;
  memcpy(lanes.window, cursor.main, sizeof lanes.window);
  memset(lanes.consumed, 0, sizeof lanes.consumed);
  cursor.main += sizeof lanes.window;
  return true;
}

// Puts consumed / 8 bytes of main (0..3) below the unread bits of each lane.
ENTROFS_INLINE const uint8_t* Refill(Group& group, const uint8_t* main) {
  // Two bits per lane, four lanes to an index, through shifts by 0, 2, 4, 6 and sums of neighbours.
  const int8x16_t places = vreinterpretq_s8_u32(vdupq_n_u32(0x06040200));
  const uint8x16_t bytes = vandq_u8(vshrq_n_u8(group.consumed, 3), vdupq_n_u8(3));
  const uint8x16_t rest = vandq_u8(group.consumed, vdupq_n_u8(7));
  const uint8x16_t placed = vshlq_u8(bytes, places);
  const uint8x16_t sums = vpaddq_u8(vpaddq_u8(placed, placed), placed);
  const uint32_t indices = vgetq_lane_u32(vreinterpretq_u32_u8(sums), 0);

  uint8x16_t dealt[4];
#pragma GCC unroll 4
  for (unsigned j = 0; j < 4; ++j) {
    const unsigned index = indices >> (8 * j) & 0xff;
    dealt[j] = vqtbl1q_u8(vld1q_u8(main), vld1q_u8(kRefill.shuffle[index]));
    main += kRefill.bytes[index];
  }
#pragma GCC unroll 2
  for (unsigned v = 0; v < 2; ++v) {
    const uint64x2_t a = vreinterpretq_u64_u8(dealt[2 * v]);
    const uint64x2_t b = vreinterpretq_u64_u8(dealt[2 * v + 1]);
    const uint16x8_t low = vreinterpretq_u16_u64(vzip1q_u64(a, b));
    const uint16x8_t high = vreinterpretq_u16_u64(vzip2q_u64(a, b));
    const int16x8_t shift = vreinterpretq_s16_u16(v == 0 ? vmovl_u8(vget_low_u8(rest)) : vmovl_high_u8(rest));
    const uint16x8_t carried = vshlq_u16(low, vsubq_s16(shift, vdupq_n_s16(16)));
    group.low[v] = vorrq_u16(group.low[v], vshlq_u16(low, shift));
    group.high[v] = vorrq_u16(group.high[v], vorrq_u16(vshlq_u16(high, shift), carried));
  }
  group.consumed = rest;
  return main;
}

// What a step read: the bits per lane, as shift counts of the planes.
struct Shifts {
  int16x8_t of[2];
};

// One step: returns the states before it.
ENTROFS_INLINE uint8x16_t Step(const uint8x16x4_t& bit_count, const uint8x16x4_t& next_base, Group& group,
                               Shifts& shifts) {
  const uint8x16_t state = group.state;
  const uint8x16_t count = vqtbl4q_u8(bit_count, state);
  shifts.of[0] = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(count)));
  shifts.of[1] = vreinterpretq_s16_u16(vmovl_high_u8(count));
  uint16x8_t read[2];
#pragma GCC unroll 2
  for (unsigned v = 0; v < 2; ++v) {
    read[v] = vshlq_u16(group.high[v], vsubq_s16(shifts.of[v], vdupq_n_s16(16)));
    group.high[v] = vshlq_u16(group.high[v], shifts.of[v]);
  }
  const uint8x16_t bits = vuzp1q_u8(vreinterpretq_u8_u16(read[0]), vreinterpretq_u8_u16(read[1]));
  group.state = vaddq_u8(vqtbl4q_u8(next_base, state), bits);
  group.consumed = vaddq_u8(group.consumed, count);
  return state;
}

// After two steps: shifts the low plane into the high one by what both have read.
ENTROFS_INLINE void ShiftLow(Group& group, const Shifts& first, const Shifts& second) {
#pragma GCC unroll 2
  for (unsigned v = 0; v < 2; ++v) {
    const int16x8_t both = vaddq_s16(first.of[v], second.of[v]);
    const uint16x8_t carried = vshlq_u16(group.low[v], vsubq_s16(both, vdupq_n_s16(16)));
    group.high[v] = vorrq_u16(group.high[v], carried);
    group.low[v] = vshlq_u16(group.low[v], both);
  }
}

// Decodes `rounds` rounds to held bytes. False when a round has taken more than main had.
bool DecodeHeld(const TansTables& tables, size_t rounds, Group* groups, StreamCursor& cursor, uint8_t* held) {
  const uint8x16x4_t bit_count = LoadTable(tables.bit_count);
  const uint8x16x4_t next_base = LoadTable(tables.next_base);
  const uint8x16x4_t held_bytes = LoadTable(tables.held);
  const uint8_t* main = cursor.main;
  for (size_t round = 0; round < rounds; ++round) {
    for (unsigned g = 0; g < kGroups; ++g, held += kRoundBytes / kGroups) {
      Group group = groups[g];
      main = Refill(group, main);
      uint8x16x4_t bytes;
#pragma GCC unroll 2
      for (unsigned half = 0; half < 2; ++half) {
        Shifts first, second;
        bytes.val[2 * half] = vqtbl4q_u8(held_bytes, Step(bit_count, next_base, group, first));
        bytes.val[2 * half + 1] = vqtbl4q_u8(held_bytes, Step(bit_count, next_base, group, second));
        ShiftLow(group, first, second);
      }
      vst4q_u8(held, bytes);  // four consecutive outputs per lane
      groups[g] = group;
    }
    if (main > cursor.main_end) [[unlikely]] {
      return false;
    }
  }
  cursor.main = main;
  return true;
}

// Bit i is set where bytes[i] is `marker`, for 64 bytes.
ENTROFS_INLINE uint8x8_t MarkerMask(const uint8_t* bytes, uint8x16_t marker) {
  const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
  uint8x16_t found[4];
#pragma GCC unroll 4
  for (unsigned i = 0; i < 4; ++i) found[i] = vandq_u8(vceqq_u8(vld1q_u8(bytes + 16 * i), marker), bit);
  const uint8x16_t pairs = vpaddq_u8(vpaddq_u8(found[0], found[1]), vpaddq_u8(found[2], found[3]));
  return vget_low_u8(vpaddq_u8(pairs, pairs));
}

// 64 for 0. In assembly because compilers make branches of the case 0, and those are mispredicted.
ENTROFS_INLINE uint64_t TrailingZeros(uint64_t mask) {
  uint64_t zeros;
  asm("rbit %0, %1\n\tclz %0, %0" : "=r"(zeros) : "r"(mask));
  return zeros;
}

// Replaces the markers among `rounds` rounds of held bytes. Without branches for up to three in 64 bytes: a patch past
// the last marker lands on the byte after the 64, which is put back.
bool PatchEscapes(uint8_t marker_byte, size_t rounds, uint8_t* held, StreamCursor& cursor) {
  const uint8x16_t marker = vdupq_n_u8(marker_byte);
  const uint8_t* escapes = cursor.escapes;
  for (size_t at = 0; at < rounds * kRoundBytes; at += 64) {
    uint8_t* const bytes = held + at;
    const uint8x8_t found = MarkerMask(bytes, marker);
    const unsigned count = vaddv_u8(vcnt_u8(found));
    uint64_t mask = vget_lane_u64(vreinterpret_u64_u8(found), 0);
    const uint8_t after = bytes[64];
#pragma GCC unroll 3
    for (unsigned i = 0; i < 3; ++i, mask &= mask - 1) bytes[TrailingZeros(mask)] = escapes[i];
    bytes[64] = after;
    for (unsigned i = 3; mask != 0; ++i, mask &= mask - 1) bytes[TrailingZeros(mask)] = escapes[i];
    escapes += count;
    if (escapes > cursor.escapes_end) [[unlikely]] {
      return false;
    }
  }
  cursor.escapes = escapes;
  return true;
}

// The raw bits of outputs 16 * v .. 16 * v + 15 of a round, one per byte, merged into `bytes`.
template <unsigned kRawBits>
ENTROFS_INLINE uint8x16_t MergeRaw(uint8x16_t bytes, unsigned v, const uint8_t* raw) {
  constexpr int kCrumbShift = kRawBits & 4 ? 4 : 0;
  constexpr int kBitShift = kCrumbShift + (kRawBits & 2 ? 2 : 0);
  const uint8_t* crumbs = raw + (kRawBits & 4 ? kRoundBytes / 2 : 0);
  const uint8_t* bits = crumbs + (kRawBits & 2 ? kRoundBytes / 4 : 0);
  if constexpr ((kRawBits & 4) != 0) {
    const uint8x16_t plane = vld1q_u8(raw + 64 * (v / 8) + 16 * (v % 4));
    bytes = vorrq_u8(bytes, v & 4 ? vshrq_n_u8(plane, 4) : vandq_u8(plane, vdupq_n_u8(15)));
  }
  if constexpr ((kRawBits & 2) != 0) {
    const int8x16_t shift = vdupq_n_s8(static_cast<int8_t>(kCrumbShift - 2 * static_cast<int>(v / 4)));
    const uint8x16_t plane = vshlq_u8(vld1q_u8(crumbs + 16 * (v % 4)), shift);
    bytes = vorrq_u8(bytes, vandq_u8(plane, vdupq_n_u8(3 << kCrumbShift)));
  }
  if constexpr ((kRawBits & 1) != 0) {
    const int8x16_t shift = vdupq_n_s8(static_cast<int8_t>(kBitShift - static_cast<int>(v / 2)));
    const uint8x16_t plane = vshlq_u8(vld1q_u8(bits + 16 * (v % 2)), shift);
    bytes = vorrq_u8(bytes, vandq_u8(plane, vdupq_n_u8(1 << kBitShift)));
  }
  return bytes;
}

ENTROFS_INLINE uint8x16_t ZigzagValues(uint8x16_t rank, uint8x16_t center) {
  const uint8x16_t sign = vtstq_u8(rank, vdupq_n_u8(1));
  return vaddq_u8(veorq_u8(vshrq_n_u8(rank, 1), sign), center);
}

// table[rank] for a table of 256 bytes.
ENTROFS_INLINE uint8x16_t LookupValues(uint8x16_t rank, const uint8_t* table) {
  uint8x16_t value = vqtbl4q_u8(LoadTable(table), rank);
#pragma GCC unroll 3
  for (unsigned part = 1; part < 4; ++part) {
    rank = vsubq_u8(rank, vdupq_n_u8(64));
    value = vqtbx4q_u8(value, LoadTable(table + 64 * part), rank);
  }
  return value;
}

template <unsigned kRawBits, bool kZigzag>
void MergeAndOrder(const FinishTables& tables, size_t rounds, const uint8_t* held, const uint8_t* raw, uint8_t* plain) {
  const uint8x16_t center = vdupq_n_u8(tables.center);
  for (size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (unsigned v = 0; v < kRoundBytes / 16; ++v) {
      const uint8x16_t rank = MergeRaw<kRawBits>(vld1q_u8(held + 16 * v), v, raw);
      vst1q_u8(plain + 16 * v, kZigzag ? ZigzagValues(rank, center) : LookupValues(rank, tables.value_of_rank));
    }
    held += kRoundBytes;
    plain += kRoundBytes;
    raw += kRoundBytes / 8 * kRawBits;
  }
}

using OrderFunction = void (*)(const FinishTables&, size_t, const uint8_t*, const uint8_t*, uint8_t*);
constexpr OrderFunction kMergeAndOrder[6][2] = {
    {nullptr, nullptr},
    {MergeAndOrder<1, false>, MergeAndOrder<1, true>},
    {MergeAndOrder<2, false>, MergeAndOrder<2, true>},
    {MergeAndOrder<3, false>, MergeAndOrder<3, true>},
    {MergeAndOrder<4, false>, MergeAndOrder<4, true>},
    {MergeAndOrder<5, false>, MergeAndOrder<5, true>},
};

bool FinishRounds(const FinishTables& tables, size_t rounds, uint8_t* held, StreamCursor& cursor, uint8_t* plain) {
  if (tables.has_escapes && !PatchEscapes(tables.escape_marker, rounds, held, cursor)) return false;
  if (tables.raw_bits == 0) {
    memcpy(plain, held, rounds * kRoundBytes);
  } else {
    kMergeAndOrder[tables.raw_bits][tables.is_zigzag](tables, rounds, held, cursor.raw, plain);
    cursor.raw += rounds * (kRoundBytes / 8) * tables.raw_bits;
  }
  return true;
}

bool DecodeTans(const TansTables& tables, size_t rounds, TansLanes& lanes, StreamCursor& cursor, uint8_t* plain) {
  if (rounds == 0) return true;
  if (lanes.consumed[0] == 32 && !LoadFirstWindows(lanes, cursor)) return false;
  alignas(64) uint8_t held[kRoundsPerChunk * kRoundBytes + kKernelSlackBytes];
  Group groups[kGroups];
  for (unsigned g = 0; g < kGroups; ++g) groups[g] = LoadGroup(lanes, g);
  while (rounds > 0) {
    const size_t chunk = rounds < kRoundsPerChunk ? rounds : kRoundsPerChunk;
    if (!DecodeHeld(tables, chunk, groups, cursor, held)) return false;
    if (!FinishRounds(tables.finish, chunk, held, cursor, plain)) return false;
    plain += chunk * kRoundBytes;
    rounds -= chunk;
  }
  for (unsigned g = 0; g < kGroups; ++g) StoreGroup(groups[g], g, lanes);
  return true;
}

// Bytes p of 16 elements, p < kBytes, rotated by one bit across the bytes of each element.
template <unsigned kBytes>
ENTROFS_INLINE void RotateRight(uint8x16_t* bytes) {
  const uint8x16_t first = bytes[0];
#pragma GCC unroll 8
  for (unsigned p = 0; p < kBytes; ++p) {
    bytes[p] = vsliq_n_u8(vshrq_n_u8(bytes[p], 1), p + 1 < kBytes ? bytes[p + 1] : first, 7);
  }
}

template <unsigned kBytes>
ENTROFS_INLINE void RotateLeft(uint8x16_t* bytes) {
  const uint8x16_t last = bytes[kBytes - 1];
#pragma GCC unroll 8
  for (unsigned i = 1; i <= kBytes; ++i) {
    const unsigned p = kBytes - i;
    bytes[p] = vsriq_n_u8(vshlq_n_u8(bytes[p], 1), p > 0 ? bytes[p - 1] : last, 7);
  }
}

// 16 elements, plane by plane, to memory.
template <unsigned kBytes>
ENTROFS_INLINE void StoreElements(const uint8x16_t* bytes, uint8_t* plain) {
  if constexpr (kBytes == 2) {
    vst2q_u8(plain, {{bytes[0], bytes[1]}});
  } else if constexpr (kBytes == 4) {
    vst4q_u8(plain, {{bytes[0], bytes[1], bytes[2], bytes[3]}});
  } else {
    uint16x8x4_t first, second;
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; ++i) {
      first.val[i] = vreinterpretq_u16_u8(vzip1q_u8(bytes[2 * i], bytes[2 * i + 1]));
      second.val[i] = vreinterpretq_u16_u8(vzip2q_u8(bytes[2 * i], bytes[2 * i + 1]));
    }
    vst4q_u16(reinterpret_cast<uint16_t*>(plain), first);
    vst4q_u16(reinterpret_cast<uint16_t*>(plain + 64), second);
  }
}

template <unsigned kBytes>
ENTROFS_INLINE void LoadElements(const uint8_t* plain, uint8x16_t* bytes) {
  if constexpr (kBytes == 2) {
    const uint8x16x2_t two = vld2q_u8(plain);
    for (unsigned p = 0; p < 2; ++p) bytes[p] = two.val[p];
  } else if constexpr (kBytes == 4) {
    const uint8x16x4_t four = vld4q_u8(plain);
    for (unsigned p = 0; p < 4; ++p) bytes[p] = four.val[p];
  } else {
    const uint16x8x4_t first = vld4q_u16(reinterpret_cast<const uint16_t*>(plain));
    const uint16x8x4_t second = vld4q_u16(reinterpret_cast<const uint16_t*>(plain + 64));
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; ++i) {
      const uint8x16_t a = vreinterpretq_u8_u16(first.val[i]);
      const uint8x16_t b = vreinterpretq_u8_u16(second.val[i]);
      bytes[2 * i] = vuzp1q_u8(a, b);
      bytes[2 * i + 1] = vuzp2q_u8(a, b);
    }
  }
}

// Whole vectors; returns the elements done.
template <unsigned kBytes, bool kRotate>
size_t MergeVectors(const uint8_t* const* planes, size_t count, uint8_t* plain) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    uint8x16_t bytes[kBytes];
    for (unsigned p = 0; p < kBytes; ++p) bytes[p] = vld1q_u8(planes[p] + i);
    if constexpr (kRotate) RotateRight<kBytes>(bytes);
    StoreElements<kBytes>(bytes, plain + i * kBytes);
  }
  return i;
}

template <unsigned kBytes, bool kRotate>
size_t SplitVectors(const uint8_t* plain, size_t count, uint8_t* const* planes) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    uint8x16_t bytes[kBytes];
    LoadElements<kBytes>(plain + i * kBytes, bytes);
    if constexpr (kRotate) RotateLeft<kBytes>(bytes);
    for (unsigned p = 0; p < kBytes; ++p) vst1q_u8(planes[p] + i, bytes[p]);
  }
  return i;
}

void MergePlanes(const uint8_t* const* planes, size_t count, unsigned element_bytes, bool rotate_sign, uint8_t* plain) {
  size_t done = 0;
  if (element_bytes == 2)
    done = rotate_sign ? MergeVectors<2, true>(planes, count, plain) : MergeVectors<2, false>(planes, count, plain);
  if (element_bytes == 4)
    done = rotate_sign ? MergeVectors<4, true>(planes, count, plain) : MergeVectors<4, false>(planes, count, plain);
  if (element_bytes == 8)
    done = rotate_sign ? MergeVectors<8, true>(planes, count, plain) : MergeVectors<8, false>(planes, count, plain);
  MergeRest(planes, done, count, element_bytes, rotate_sign, plain);
}

void SplitPlanes(const uint8_t* plain, size_t count, unsigned element_bytes, bool rotate_sign, uint8_t* const* planes) {
  size_t done = 0;
  if (element_bytes == 2)
    done = rotate_sign ? SplitVectors<2, true>(plain, count, planes) : SplitVectors<2, false>(plain, count, planes);
  if (element_bytes == 4)
    done = rotate_sign ? SplitVectors<4, true>(plain, count, planes) : SplitVectors<4, false>(plain, count, planes);
  if (element_bytes == 8)
    done = rotate_sign ? SplitVectors<8, true>(plain, count, planes) : SplitVectors<8, false>(plain, count, planes);
  SplitRest(plain, done, count, element_bytes, rotate_sign, planes);
}

}  // namespace

const Kernels kNeonKernels = {
    .name = "neon",
    .split_planes = SplitPlanes,
    .merge_planes = MergePlanes,
    .merge_trellis = nullptr,
    .split_trellis = nullptr,
    .decode_tans = DecodeTans,
    .tans_piece_bytes = 16 << 10,
    .decode_prefix = nullptr,
    .decode_escapes = nullptr,
    .finish_rounds = FinishRounds,
    .classify = nullptr,
    .encode_tans = nullptr,
    .interleave = nullptr,
};

}  // namespace entrofs::codec
