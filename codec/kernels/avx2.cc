// AVX2 kernels. No pdep (it is microcode on Zen 1 and 2) and no variable shifts of 16-bit lanes: shifts by a number of
// bits are multiplications by its power of two.
//
// The 32-bit windows are kept as two planes of 16 bits, high and low. A step takes at most 6 bits, so the low plane is
// shifted into the high one only every second step.

#include <immintrin.h>
#include <string.h>

#include "codec/kernels/avx2_encode.h"
#include "codec/kernels/avx2_finish.h"
#include "codec/kernels/avx2_lookup.h"
#include "codec/kernels/kernels.h"
#include "codec/kernels/plane_rest.h"
#include "codec/kernels/prefetch.h"
#include "codec/kernels/prefix_loop.h"
#include "codec/kernels/refill_table.h"
#include "codec/kernels/trellis_divide.h"
#include "codec/kernels/trellis_path.h"

namespace entrofs::codec {
namespace {

constexpr size_t kPrefetchBytes = 2048;
constexpr unsigned kGroups = 2;  // of 32 lanes, one byte register each, two 16-bit registers per plane

// log2 of a power of two up to 2^15 by a de Bruijn sequence: kLog2[(power * kDeBruijn & 0xffff) >> 12].
constexpr uint16_t kDeBruijn = 0x09af;
struct Log2Table {
  alignas(16) uint8_t of[16];
};
constexpr Log2Table MakeLog2Table() {
  Log2Table table = {};
  for (unsigned bits = 0; bits < 16; ++bits) {
    table.of[static_cast<uint16_t>(kDeBruijn << bits) >> 12] = static_cast<uint8_t>(bits);
  }
  return table;
}
constexpr Log2Table kLog2 = MakeLog2Table();
alignas(16) constexpr uint8_t kPower[16] = {1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 0};

// The decoder's registers. Within a group of 32 lanes, byte 16 * h + 4 * j + e belongs to lane 8 * j + 4 * h + e, so
// that results come out in order after the interleaving of four steps.
struct Lanes {
  __m256i high[kGroups][2];
  __m256i low[kGroups][2];
  __m256i consumed[kGroups];
  __m256i state[kGroups];
};

// Byte e of dword 4 * h + j of a group is that of lane 8 * j + 4 * h + e, and back.
__m256i GroupOrder(__m256i bytes) {
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}
__m256i LaneOrder(__m256i bytes) {
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

Lanes LoadLanes(const TansLanes& from) {
  const __m256i low_half = _mm256_set1_epi32(0xffff);
  Lanes lanes;
  for (unsigned g = 0; g < kGroups; ++g) {
    for (unsigned v = 0; v < 2; ++v) {
      const __m256i first = Load(from.window + 32 * g + 16 * v);
      const __m256i second = Load(from.window + 32 * g + 16 * v + 8);
      lanes.high[g][v] = _mm256_packus_epi32(_mm256_srli_epi32(first, 16), _mm256_srli_epi32(second, 16));
      lanes.low[g][v] = _mm256_packus_epi32(_mm256_and_si256(first, low_half), _mm256_and_si256(second, low_half));
    }
    lanes.consumed[g] = GroupOrder(Load(from.consumed + 32 * g));
    lanes.state[g] = GroupOrder(Load(from.state + 32 * g));
  }
  return lanes;
}

void StoreLanes(const Lanes& lanes, TansLanes& to) {
  for (unsigned g = 0; g < kGroups; ++g) {
    for (unsigned v = 0; v < 2; ++v) {
      Store(to.window + 32 * g + 16 * v, _mm256_unpacklo_epi16(lanes.low[g][v], lanes.high[g][v]));
      Store(to.window + 32 * g + 16 * v + 8, _mm256_unpackhi_epi16(lanes.low[g][v], lanes.high[g][v]));
    }
    Store(to.consumed + 32 * g, LaneOrder(lanes.consumed[g]));
    Store(to.state + 32 * g, LaneOrder(lanes.state[g]));
  }
}

// Round 0 loads four bytes per lane, more than Refill does. False when main has fewer.
bool LoadFirstWindows(TansLanes& lanes, StreamCursor& cursor) {
  if (static_cast<size_t>(cursor.main_end - cursor.main) < sizeof lanes.window) return false;
  memcpy(lanes.window, cursor.main, sizeof lanes.window);
  memset(lanes.consumed, 0, sizeof lanes.consumed);
  cursor.main += sizeof lanes.window;
  return true;
}

// Puts consumed / 8 bytes of main below the unread bits of each lane.
inline __attribute__((always_inline)) const uint8_t* Refill(Lanes& lanes, const uint8_t* main) {
  const __m256i zero = _mm256_setzero_si256();
  alignas(32) uint32_t index[kGroups][8];
  __m256i power[kGroups];
#pragma GCC unroll 2
  for (unsigned g = 0; g < kGroups; ++g) {
    const __m256i bytes = _mm256_and_si256(_mm256_srli_epi16(lanes.consumed[g], 3), _mm256_set1_epi8(3));
    power[g] = _mm256_shuffle_epi8(LoadTwice(kPower), _mm256_and_si256(lanes.consumed[g], _mm256_set1_epi8(7)));
    const __m256i pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi32(0x40100401));
    _mm256_store_si256(reinterpret_cast<__m256i*>(index[g]), _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  asm volatile("" ::: "memory");  // the indices go through memory on purpose: sixteen extractions cost more
#pragma GCC unroll 2
  for (unsigned g = 0; g < kGroups; ++g) {
    __m256i dealt[4];
#pragma GCC unroll 4
    for (unsigned j = 0; j < 4; ++j) {
      const uint32_t first = index[g][j];
      const __m128i a = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(main)),
                                         _mm_load_si128(reinterpret_cast<const __m128i*>(kRefill.shuffle[first])));
      main += kRefill.bytes[first];
      const uint32_t second = index[g][4 + j];
      const __m128i b = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(main)),
                                         _mm_load_si128(reinterpret_cast<const __m128i*>(kRefill.shuffle[second])));
      main += kRefill.bytes[second];
      dealt[j] = _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
    }
#pragma GCC unroll 2
    for (unsigned v = 0; v < 2; ++v) {
      const __m256i low = _mm256_unpacklo_epi64(dealt[2 * v], dealt[2 * v + 1]);
      const __m256i high = _mm256_unpackhi_epi64(dealt[2 * v], dealt[2 * v + 1]);
      const __m256i p = v == 0 ? _mm256_unpacklo_epi8(power[g], zero) : _mm256_unpackhi_epi8(power[g], zero);
      lanes.low[g][v] = _mm256_or_si256(lanes.low[g][v], _mm256_mullo_epi16(low, p));
      lanes.high[g][v] =
          _mm256_or_si256(lanes.high[g][v], _mm256_or_si256(_mm256_mulhi_epu16(low, p), _mm256_mullo_epi16(high, p)));
    }
    lanes.consumed[g] = _mm256_and_si256(lanes.consumed[g], _mm256_set1_epi8(7));
  }
  return main;
}

// One step of group g: its held bytes go to `held`, 2^bits read to power[0..1] as 16-bit elements.
inline __attribute__((always_inline)) void Step(const Lookup<4>& base_and_bits, const Lookup<4>& held_bytes,
                                                Lanes& lanes, unsigned g, __m256i& held, __m256i* power) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i entry;  // 2 * base + 2^bits
  LookUpBoth(base_and_bits, held_bytes, lanes.state[g], entry, held);
  const __m256i bit = _mm256_and_si256(entry, _mm256_sub_epi8(zero, entry));
  power[0] = _mm256_unpacklo_epi8(bit, zero);
  power[1] = _mm256_unpackhi_epi8(bit, zero);
  const __m256i read = _mm256_packus_epi16(_mm256_mulhi_epu16(lanes.high[g][0], power[0]),
                                           _mm256_mulhi_epu16(lanes.high[g][1], power[1]));
  lanes.state[g] = _mm256_avg_epu8(_mm256_sub_epi8(entry, bit), _mm256_add_epi8(read, read));
  lanes.high[g][0] = _mm256_mullo_epi16(lanes.high[g][0], power[0]);
  lanes.high[g][1] = _mm256_mullo_epi16(lanes.high[g][1], power[1]);
}

// After two steps: shifts the low plane into the high one by what both have read, and counts it.
inline __attribute__((always_inline)) void ShiftLow(Lanes& lanes, unsigned g, const __m256i* first,
                                                    const __m256i* second) {
  __m256i index[2];
#pragma GCC unroll 2
  for (unsigned v = 0; v < 2; ++v) {
    const __m256i power = _mm256_mullo_epi16(first[v], second[v]);
    lanes.high[g][v] = _mm256_or_si256(lanes.high[g][v], _mm256_mulhi_epu16(lanes.low[g][v], power));
    lanes.low[g][v] = _mm256_mullo_epi16(lanes.low[g][v], power);
    index[v] = _mm256_srli_epi16(_mm256_mullo_epi16(power, _mm256_set1_epi16(kDeBruijn)), 12);
  }
  const __m256i bits = _mm256_shuffle_epi8(LoadTwice(kLog2.of), _mm256_packus_epi16(index[0], index[1]));
  lanes.consumed[g] = _mm256_add_epi8(lanes.consumed[g], bits);
}

// Decodes `rounds` rounds to held bytes. False when a round has taken more than main had.
// Meanwhile asks for the memory of as many later rounds of output, or what the cursor has ahead.
bool DecodeHeld(const TansTables& tables, size_t rounds, Lanes& lanes_in_memory, StreamCursor& cursor, uint8_t* held,
                const uint8_t* later) {
  const Lookup<4> base_and_bits(tables.base_and_bits);
  const Lookup<4> held_bytes(tables.held);
  const uint8_t* main = cursor.main;
  Lanes lanes = lanes_in_memory;
  for (size_t round = 0; round < rounds; ++round, held += kRoundBytes) {
    if (cursor.ahead != nullptr) {
      AskAhead(*cursor.ahead);
    } else {
      for (unsigned line = 0; line < kRoundBytes; line += 64) PrefetchLine(later + round * kRoundBytes + line);
    }
    _mm_prefetch(reinterpret_cast<const char*>(main) + kPrefetchBytes, _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(main) + kPrefetchBytes + 64, _MM_HINT_T0);
    main = Refill(lanes, main);
    __m256i bytes[kGroups][4];
#pragma GCC unroll 2
    for (unsigned half = 0; half < 2; ++half) {
      __m256i first[kGroups][2];
      __m256i second[kGroups][2];
#pragma GCC unroll 2
      for (unsigned g = 0; g < kGroups; ++g) Step(base_and_bits, held_bytes, lanes, g, bytes[g][2 * half], first[g]);
#pragma GCC unroll 2
      for (unsigned g = 0; g < kGroups; ++g) {
        Step(base_and_bits, held_bytes, lanes, g, bytes[g][2 * half + 1], second[g]);
        ShiftLow(lanes, g, first[g], second[g]);
      }
    }
#pragma GCC unroll 2
    for (unsigned g = 0; g < kGroups; ++g) {
      const __m256i a = _mm256_unpacklo_epi8(bytes[g][0], bytes[g][1]);
      const __m256i b = _mm256_unpackhi_epi8(bytes[g][0], bytes[g][1]);
      const __m256i c = _mm256_unpacklo_epi8(bytes[g][2], bytes[g][3]);
      const __m256i d = _mm256_unpackhi_epi8(bytes[g][2], bytes[g][3]);
      Store(held + 128 * g, _mm256_unpacklo_epi16(a, c));
      Store(held + 128 * g + 32, _mm256_unpackhi_epi16(a, c));
      Store(held + 128 * g + 64, _mm256_unpacklo_epi16(b, d));
      Store(held + 128 * g + 96, _mm256_unpackhi_epi16(b, d));
    }
    if (main > cursor.main_end) [[unlikely]] {
      return false;
    }
  }
  cursor.main = main;
  lanes_in_memory = lanes;
  return true;
}

bool DecodeTans(const TansTables& tables, size_t rounds, TansLanes& lanes_in_memory, StreamCursor& cursor,
                uint8_t* plain) {
  if (rounds == 0) return true;
  if (lanes_in_memory.consumed[0] == 32 && !LoadFirstWindows(lanes_in_memory, cursor)) return false;
  alignas(32) uint8_t buffer[kAvx2RoundsPerChunk * kRoundBytes + 1];
  Lanes lanes = LoadLanes(lanes_in_memory);
  while (rounds > 0) {
    const size_t chunk = rounds < kAvx2RoundsPerChunk ? rounds : kAvx2RoundsPerChunk;
    // The last chunk's output may not be written beyond.
    uint8_t* const held = tables.finish.raw_bits == 0 && chunk < rounds ? plain : buffer;
    const uint8_t* const later = plain + (rounds >= 2 * chunk ? chunk * kRoundBytes : 0);
    if (!DecodeHeld(tables, chunk, lanes, cursor, held, later)) return false;
    if (!FinishChunkAvx2(tables.finish, chunk, held, cursor, plain)) return false;
    plain += chunk * kRoundBytes;
    rounds -= chunk;
  }
  StoreLanes(lanes, lanes_in_memory);
  return true;
}

void Store128(void* p, __m128i value) { _mm_storeu_si128(static_cast<__m128i*>(p), value); }

// 32 elements of two bytes at a time; returns how many were done.
template <bool kRotate>
size_t SplitPairs(const uint8_t* plain, size_t count, uint8_t* const* planes) {
  const __m256i low_byte = _mm256_set1_epi16(0xff);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    __m256i words[2] = {Load(plain + 2 * i), Load(plain + 2 * i + 32)};
    if (kRotate) {
      for (__m256i& w : words) w = _mm256_or_si256(_mm256_slli_epi16(w, 1), _mm256_srli_epi16(w, 15));
    }
    // Packing works within 128 bits; 0xd8 puts the quarters in order.
    const __m256i low = _mm256_packus_epi16(_mm256_and_si256(words[0], low_byte), _mm256_and_si256(words[1], low_byte));
    const __m256i high = _mm256_packus_epi16(_mm256_srli_epi16(words[0], 8), _mm256_srli_epi16(words[1], 8));
    Store(planes[0] + i, _mm256_permute4x64_epi64(low, 0xd8));
    Store(planes[1] + i, _mm256_permute4x64_epi64(high, 0xd8));
  }
  return i;
}

template <bool kRotate>
size_t MergePairs(const uint8_t* const* planes, size_t count, uint8_t* plain) {
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i low = _mm256_permute4x64_epi64(Load(planes[0] + i), 0xd8);
    const __m256i high = _mm256_permute4x64_epi64(Load(planes[1] + i), 0xd8);
    __m256i words[2] = {_mm256_unpacklo_epi8(low, high), _mm256_unpackhi_epi8(low, high)};
    if (kRotate) {
      for (__m256i& w : words) w = _mm256_or_si256(_mm256_srli_epi16(w, 1), _mm256_slli_epi16(w, 15));
    }
    PrefetchOutput(plain + 2 * i, 64);
    Store(plain + 2 * i, words[0]);
    Store(plain + 2 * i + 32, words[1]);
  }
  return i;
}

// 32 elements of four bytes at a time.
template <bool kRotate>
size_t SplitQuads(const uint8_t* plain, size_t count, uint8_t* const* planes) {
  const __m256i by_plane =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    __m256i words[4];
    for (unsigned v = 0; v < 4; ++v) {
      words[v] = Load(plain + 4 * i + 32 * v);
      if (kRotate) words[v] = _mm256_or_si256(_mm256_slli_epi32(words[v], 1), _mm256_srli_epi32(words[v], 31));
      words[v] = _mm256_shuffle_epi8(words[v], by_plane);
    }
    const __m256i a = _mm256_unpacklo_epi32(words[0], words[1]);
    const __m256i b = _mm256_unpackhi_epi32(words[0], words[1]);
    const __m256i c = _mm256_unpacklo_epi32(words[2], words[3]);
    const __m256i d = _mm256_unpackhi_epi32(words[2], words[3]);
    Store(planes[0] + i, _mm256_permutevar8x32_epi32(_mm256_unpacklo_epi64(a, c), in_order));
    Store(planes[1] + i, _mm256_permutevar8x32_epi32(_mm256_unpackhi_epi64(a, c), in_order));
    Store(planes[2] + i, _mm256_permutevar8x32_epi32(_mm256_unpacklo_epi64(b, d), in_order));
    Store(planes[3] + i, _mm256_permutevar8x32_epi32(_mm256_unpackhi_epi64(b, d), in_order));
  }
  return i;
}

template <bool kRotate>
size_t MergeQuads(const uint8_t* const* planes, size_t count, uint8_t* plain) {
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i low01 = _mm256_unpacklo_epi8(Load(planes[0] + i), Load(planes[1] + i));
    const __m256i high01 = _mm256_unpackhi_epi8(Load(planes[0] + i), Load(planes[1] + i));
    const __m256i low23 = _mm256_unpacklo_epi8(Load(planes[2] + i), Load(planes[3] + i));
    const __m256i high23 = _mm256_unpackhi_epi8(Load(planes[2] + i), Load(planes[3] + i));
    // Elements 4 v .. 4 v + 3 in the low half of words[v], those 16 further in the high half.
    __m256i words[4] = {_mm256_unpacklo_epi16(low01, low23), _mm256_unpackhi_epi16(low01, low23),
                        _mm256_unpacklo_epi16(high01, high23), _mm256_unpackhi_epi16(high01, high23)};
    for (unsigned v = 0; v < 4; ++v) {
      if (kRotate) words[v] = _mm256_or_si256(_mm256_srli_epi32(words[v], 1), _mm256_slli_epi32(words[v], 31));
      Store128(plain + 4 * i + 16 * v, _mm256_castsi256_si128(words[v]));
      Store128(plain + 4 * i + 64 + 16 * v, _mm256_extracti128_si256(words[v], 1));
    }
  }
  return i;
}

// What is left over, and elements of eight bytes, are done by the scalar kernel.
void SplitPlanes(const uint8_t* plain, size_t count, unsigned element_bytes, bool rotate_sign, uint8_t* const* planes) {
  size_t done = 0;
  if (element_bytes == 2) done = (rotate_sign ? SplitPairs<true> : SplitPairs<false>)(plain, count, planes);
  if (element_bytes == 4) done = (rotate_sign ? SplitQuads<true> : SplitQuads<false>)(plain, count, planes);
  SplitRest(plain, done, count, element_bytes, rotate_sign, planes);
}

void MergePlanes(const uint8_t* const* planes, size_t count, unsigned element_bytes, bool rotate_sign, uint8_t* plain) {
  size_t done = 0;
  if (element_bytes == 2) done = (rotate_sign ? MergePairs<true> : MergePairs<false>)(planes, count, plain);
  if (element_bytes == 4) done = (rotate_sign ? MergeQuads<true> : MergeQuads<false>)(planes, count, plain);
  MergeRest(planes, done, count, element_bytes, rotate_sign, plain);
}

// Bit 0 of each byte.
uint64_t LowBits(__m256i bytes) { return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_slli_epi16(bytes, 7))); }

// The bytes rotated left by one bit, then bit 0 of byte i flipped if bit i of `flips` is set.
__m256i RotateAndFlip(__m256i bytes, uint32_t flips) {
  const __m256i byte_of_bit = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
  const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(flips)), byte_of_bit);
  const __m256i is_flipped = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
  const __m256i is_negative = _mm256_cmpgt_epi8(_mm256_setzero_si256(), bytes);
  return _mm256_sub_epi8(_mm256_add_epi8(bytes, bytes), _mm256_xor_si256(is_negative, is_flipped));
}

void MergeTrellis(const uint8_t* indices, size_t count, uint8_t* values) {
  TrellisPath path;
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const __m256i low = Load(indices + i), high = Load(indices + i + 32);
    const uint64_t b = path.Next(LowBits(low) | LowBits(high) << 32, DivideByMultiplying);
    Store(values + i, RotateAndFlip(low, static_cast<uint32_t>(b)));
    Store(values + i + 32, RotateAndFlip(high, static_cast<uint32_t>(b >> 32)));
  }
  MergeTrellisWith(path, indices + i, count - i, values + i);
}

}  // namespace

const Kernels kAvx2Kernels = {
    .name = "avx2",
    .split_planes = SplitPlanes,
    .merge_planes = MergePlanes,
    .merge_trellis = MergeTrellis,
    .split_trellis = nullptr,
    .decode_tans = DecodeTans,
    .tans_piece_bytes = 4096,
    .decode_prefix = DecodePrefix,
    .decode_escapes = DecodeEscapes,
    .finish_rounds = FinishRoundsAvx2,
    .classify = ClassifyAvx2,
    .encode_tans = EncodeTansAvx2,
    .interleave = InterleaveAvx2,
};

}  // namespace entrofs::codec
