// AVX-512 kernels for CPUs with VBMI, VBMI2 and VNNI (Ice Lake, Zen 4 and later).
//
// All 64-entry tables live in one register each and are read with vpermb. Sixteen lanes share a register; the four
// registers of a round are stepped together, because one chain alone would wait for its own latency. The encoder's are
// in avx512_encode.cc.

#include <immintrin.h>
#include <string.h>

#include "codec/kernels/avx512_encode.h"
#include "codec/kernels/avx512_lookup.h"
#include "codec/kernels/kernels.h"
#include "codec/kernels/plane_rest.h"
#include "codec/kernels/prefetch.h"
#include "codec/kernels/prefix_loop.h"
#include "codec/kernels/trellis_divide.h"
#include "codec/kernels/trellis_path.h"

namespace entrofs::codec {
namespace {

constexpr size_t kPrefetchBytes = 2048;
constexpr __mmask64 kLowByteOfLane = 0x1111111111111111;

// The decoder's registers.
struct Lanes {
  __m512i window[kVectors];
  __m512i consumed[kVectors];
  __m512i state[kVectors];
};

Lanes LoadLanes(const TansLanes& from) {
  Lanes lanes;
  for (unsigned v = 0; v < kVectors; ++v) {
    lanes.window[v] = Load(from.window + 16 * v);
    lanes.consumed[v] = _mm512_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(from.consumed + 16 * v)));
    lanes.state[v] = _mm512_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(from.state + 16 * v)));
  }
  return lanes;
}

void StoreLanes(const Lanes& lanes, TansLanes& to) {
  for (unsigned v = 0; v < kVectors; ++v) {
    _mm512_store_si512(to.window + 16 * v, lanes.window[v]);
    _mm_store_si128(reinterpret_cast<__m128i*>(to.consumed + 16 * v), _mm512_cvtepi32_epi8(lanes.consumed[v]));
    _mm_store_si128(reinterpret_cast<__m128i*>(to.state + 16 * v), _mm512_cvtepi32_epi8(lanes.state[v]));
  }
}

// `bytes` with the next escapes in place of their markers.
inline __attribute__((always_inline)) __m512i PatchEscapes(__m512i bytes, __m512i marker, const uint8_t*& escapes) {
  const __mmask64 escaped = _mm512_cmpeq_epi8_mask(bytes, marker);
  const __m512i patched = _mm512_mask_expand_epi8(bytes, escaped, Load(escapes));
  escapes += _mm_popcnt_u64(escaped);
  return patched;
}

// The raw bits of outputs 64 * v .. 64 * v + 63 of a round in the low kRawBits bits of each byte: nibbles lowest, then
// crumbs, then bits. The other bits are anything.
template <unsigned kRawBits>
inline __attribute__((always_inline)) __m512i RawBits(unsigned v, const uint8_t* raw) {
  constexpr unsigned kCrumbShift = kRawBits & 4 ? 4 : 0;
  constexpr unsigned kBitShift = kCrumbShift + (kRawBits & 2 ? 2 : 0);
  constexpr int kSelect = 0xca;  // truth table of a ? b : c for vpternlog
  const uint8_t* crumbs = raw + (kRawBits & 4 ? kRoundBytes / 2 : 0);
  const uint8_t* bits = crumbs + (kRawBits & 2 ? kRoundBytes / 4 : 0);
  __m512i all = _mm512_setzero_si512();
  if constexpr ((kRawBits & 4) != 0) {
    all = Load(raw + 64 * (v / 2));
    if (v % 2 == 1) all = _mm512_srli_epi16(all, 4);
  }
  if constexpr ((kRawBits & 2) != 0) {
    __m512i plane = Load(crumbs);
    if (2 * v > kCrumbShift) plane = _mm512_srli_epi16(plane, 2 * v - kCrumbShift);
    if (2 * v < kCrumbShift) plane = _mm512_slli_epi16(plane, kCrumbShift - 2 * v);
    all = kCrumbShift == 0 ? plane
                           : _mm512_ternarylogic_epi64(_mm512_set1_epi8((1 << kCrumbShift) - 1), all, plane, kSelect);
  }
  if constexpr ((kRawBits & 1) != 0) {
    __m512i plane = _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bits)));
    const int64_t low = (2 * v - kBitShift) & 63;
    const int64_t high = (2 * v + 1 - kBitShift) & 63;
    plane = _mm512_rorv_epi64(plane, _mm512_setr_epi64(low, low, low, low, high, high, high, high));
    all =
        kBitShift == 0 ? plane : _mm512_ternarylogic_epi64(_mm512_set1_epi8((1 << kBitShift) - 1), all, plane, kSelect);
  }
  return all;
}

// How held bytes and raw bits become plain bytes, in registers.
template <unsigned kRawBits>
struct AnyOrder {
  __m512i values[4];

  explicit AnyOrder(const FinishTables& tables) {
    for (unsigned i = 0; i < 4; ++i) values[i] = Load(tables.value_of_rank + 64 * i);
  }
  inline __attribute__((always_inline)) __m512i operator()(__m512i held, __m512i raw) const {
    const __m512i mask = _mm512_set1_epi8((1 << kRawBits) - 1);
    return LookupBytes(values, _mm512_ternarylogic_epi64(held, raw, mask, kOrAnd));
  }
};

// The raw bits give the sign, and what is to be exclusive-ored to half the class, by one lookup that needs no more than
// their own bits. (Held bytes have no bits below 2 here, so that no bit comes in from a neighbour.)
template <unsigned kRawBits>
struct ZigzagOrder {
  __m512i of_raw;
  __m512i center;

  explicit ZigzagOrder(const FinishTables& tables) : center(_mm512_set1_epi8(static_cast<char>(tables.center))) {
    alignas(64) int8_t table[64];
    for (int i = 0; i < 64; ++i) {
      const int bits = i % (1 << kRawBits);
      table[i] = static_cast<int8_t>(bits % 2 == 0 ? bits / 2 : ~(bits / 2));
    }
    of_raw = Load(table);
  }
  inline __attribute__((always_inline)) __m512i operator()(__m512i held, __m512i raw) const {
    const __m512i distance = _mm512_xor_si512(_mm512_srli_epi16(held, 1), _mm512_permutexvar_epi8(raw, of_raw));
    return _mm512_add_epi8(distance, center);
  }
};

// Turns held bytes into plain ones.
template <unsigned kRawBits, bool kEscapes, typename Order>
struct Finisher {
  __m512i marker;
  Order order;
  const uint8_t* escapes;
  const uint8_t* raw;

  Finisher(const FinishTables& tables, const StreamCursor& cursor)
      : marker(_mm512_set1_epi8(static_cast<char>(tables.escape_marker))),
        order(tables),
        escapes(cursor.escapes),
        raw(cursor.raw) {}

  // The plain bytes of held bytes 64 * v .. 64 * v + 63 of a round.
  inline __attribute__((always_inline)) __m512i Finish(__m512i bytes, unsigned v) {
    if constexpr (kEscapes) bytes = PatchEscapes(bytes, marker, escapes);
    if constexpr (kRawBits > 0) bytes = order(bytes, RawBits<kRawBits>(v, raw));
    return bytes;
  }
  void EndRound() {
    // At most two and a half lines a round.
    for (unsigned line = 0; line < kRoundBytes / 8 * kRawBits; line += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(raw) + kPrefetchBytes + line, _MM_HINT_T0);
    }
    raw += kRoundBytes / 8 * kRawBits;
  }
};

// Decodes `rounds` rounds. False when a round has taken more than main, or escapes, had.
template <unsigned kRawBits, bool kEscapes, typename Order, bool kAhead>
bool DecodeRounds(const TansTables& tables, size_t rounds, TansLanes& lanes_in_memory, StreamCursor& cursor,
                  uint8_t* plain) {
  const __m512i bit_count = Load(tables.bit_count);
  const __m512i next_prefix = Load(tables.next_prefix);
  const __m512i held_bytes = Load(tables.held);
  // Byte i of a lane's refill is taken when at least 8 * (i + 1) bits were consumed.
  const __m512i thresholds = _mm512_set1_epi32(0x20181008);
  const __m512i spread_low_byte =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
  const __m512i seven = _mm512_set1_epi32(7);
  Finisher<kRawBits, kEscapes, Order> finisher(tables.finish, cursor);
  const uint8_t* main = cursor.main;
  Lanes lanes = LoadLanes(lanes_in_memory);
  bool ok = true;
  for (size_t round = 0; round < rounds; ++round, plain += kRoundBytes) {
    _mm_prefetch(reinterpret_cast<const char*>(main) + kPrefetchBytes, _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(main) + kPrefetchBytes + 64, _MM_HINT_T0);
    if (kAhead) {
      AskAhead(*cursor.ahead);
    } else if (kRawBits > 0 && rounds - round > kPrefetchOutputBytes / kRoundBytes) {
      PrefetchOutput(plain, kRoundBytes);
    }
    __m512i states[kVectors];
#pragma GCC unroll 4
    for (unsigned v = 0; v < kVectors; ++v) {
      const __mmask64 taken =
          _mm512_cmpge_epu8_mask(_mm512_shuffle_epi8(lanes.consumed[v], spread_low_byte), thresholds);
      const __m512i bytes = _mm512_maskz_expand_epi8(taken, Load(main));
      main += _mm_popcnt_u64(taken);
      lanes.consumed[v] = _mm512_and_si512(lanes.consumed[v], seven);
      lanes.window[v] = _mm512_or_si512(lanes.window[v], _mm512_sllv_epi32(bytes, lanes.consumed[v]));
    }
#pragma GCC unroll 4
    for (unsigned step = 0; step < kRoundBytes / kLanes; ++step) {
#pragma GCC unroll 4
      for (unsigned v = 0; v < kVectors; ++v) {
        const __m512i count = _mm512_maskz_permutexvar_epi8(kLowByteOfLane, lanes.state[v], bit_count);
        const __m512i prefix = _mm512_permutexvar_epi8(lanes.state[v], next_prefix);
        states[v] =
            step == 0 ? _mm512_slli_epi32(lanes.state[v], 24) : _mm512_shrdi_epi32(states[v], lanes.state[v], 8);
        lanes.state[v] = _mm512_shldv_epi32(prefix, lanes.window[v], count);
        lanes.window[v] = _mm512_sllv_epi32(lanes.window[v], count);
      }
    }
#pragma GCC unroll 4
    for (unsigned v = 0; v < kVectors; ++v) {
      // The bits of all four steps at once.
      const __m512i counts = _mm512_permutexvar_epi8(states[v], bit_count);
      lanes.consumed[v] = _mm512_dpbusd_epi32(lanes.consumed[v], counts, _mm512_set1_epi8(1));
      const __m512i held = _mm512_permutexvar_epi8(states[v], held_bytes);
      _mm512_storeu_si512(plain + 64 * v, finisher.Finish(held, v));
    }
    finisher.EndRound();
    if (main > cursor.main_end || (kEscapes && finisher.escapes > cursor.escapes_end)) [[unlikely]] {
      ok = false;
      break;
    }
  }
  cursor.main = main;
  cursor.escapes = finisher.escapes;
  cursor.raw = finisher.raw;
  StoreLanes(lanes, lanes_in_memory);
  return ok;
}

template <unsigned kRawBits, bool kEscapes, typename Order>
bool FinishHeld(const FinishTables& tables, size_t rounds, uint8_t* held, StreamCursor& cursor, uint8_t* plain) {
  Finisher<kRawBits, kEscapes, Order> finisher(tables, cursor);
  for (size_t round = 0; round < rounds; ++round, held += kRoundBytes, plain += kRoundBytes) {
    PrefetchOutput(plain, kRoundBytes);
#pragma GCC unroll 4
    for (unsigned v = 0; v < kVectors; ++v) {
      _mm512_storeu_si512(plain + 64 * v, finisher.Finish(Load(held + 64 * v), v));
    }
    finisher.EndRound();
    if (kEscapes && finisher.escapes > cursor.escapes_end) [[unlikely]] {
      return false;
    }
  }
  cursor.escapes = finisher.escapes;
  cursor.raw = finisher.raw;
  return true;
}

// The instance for the table: by raw bits, escapes and order.
using DecodeFunction = decltype(&DecodeRounds<0, false, AnyOrder<0>, false>);
template <unsigned kRawBits, bool kAhead>
DecodeFunction ChooseDecodeRounds(const FinishTables& tables) {
  if (tables.is_zigzag) {
    return tables.has_escapes ? DecodeRounds<kRawBits, true, ZigzagOrder<kRawBits>, kAhead>
                              : DecodeRounds<kRawBits, false, ZigzagOrder<kRawBits>, kAhead>;
  }
  return tables.has_escapes ? DecodeRounds<kRawBits, true, AnyOrder<kRawBits>, kAhead>
                            : DecodeRounds<kRawBits, false, AnyOrder<kRawBits>, kAhead>;
}
using FinishFunction = decltype(&FinishHeld<0, false, AnyOrder<0>>);
template <unsigned kRawBits>
FinishFunction ChooseFinishHeld(const FinishTables& tables) {
  if (tables.is_zigzag) {
    return tables.has_escapes ? FinishHeld<kRawBits, true, ZigzagOrder<kRawBits>>
                              : FinishHeld<kRawBits, false, ZigzagOrder<kRawBits>>;
  }
  return tables.has_escapes ? FinishHeld<kRawBits, true, AnyOrder<kRawBits>>
                            : FinishHeld<kRawBits, false, AnyOrder<kRawBits>>;
}
// By raw bits, and whether something is asked for ahead.
constexpr decltype(&ChooseDecodeRounds<0, false>) kChooseDecodeRounds[6][2] = {
    {ChooseDecodeRounds<0, false>, ChooseDecodeRounds<0, true>},
    {ChooseDecodeRounds<1, false>, ChooseDecodeRounds<1, true>},
    {ChooseDecodeRounds<2, false>, ChooseDecodeRounds<2, true>},
    {ChooseDecodeRounds<3, false>, ChooseDecodeRounds<3, true>},
    {ChooseDecodeRounds<4, false>, ChooseDecodeRounds<4, true>},
    {ChooseDecodeRounds<5, false>, ChooseDecodeRounds<5, true>}};
constexpr decltype(&ChooseFinishHeld<0>) kChooseFinishHeld[6] = {ChooseFinishHeld<0>, ChooseFinishHeld<1>,
                                                                 ChooseFinishHeld<2>, ChooseFinishHeld<3>,
                                                                 ChooseFinishHeld<4>, ChooseFinishHeld<5>};

bool FinishRounds(const FinishTables& tables, size_t rounds, uint8_t* held, StreamCursor& cursor, uint8_t* plain) {
  return kChooseFinishHeld[tables.raw_bits](tables)(tables, rounds, held, cursor, plain);
}

bool DecodeTans(const TansTables& tables, size_t rounds, TansLanes& lanes, StreamCursor& cursor, uint8_t* plain) {
  const bool asks = cursor.ahead != nullptr;
  return kChooseDecodeRounds[tables.finish.raw_bits][asks](tables.finish)(tables, rounds, lanes, cursor, plain);
}

// One register of elements rotated by one bit.
template <unsigned kElementBytes, bool kLeft>
__m512i Rotate(__m512i elements) {
  if constexpr (kElementBytes == 2) {
    return kLeft ? _mm512_shldi_epi16(elements, elements, 1) : _mm512_shrdi_epi16(elements, elements, 1);
  } else if constexpr (kElementBytes == 4) {
    return kLeft ? _mm512_rol_epi32(elements, 1) : _mm512_ror_epi32(elements, 1);
  } else {
    return kLeft ? _mm512_rol_epi64(elements, 1) : _mm512_ror_epi64(elements, 1);
  }
}

template <unsigned kElementBytes, bool kRotate>
size_t SplitWhole(const uint8_t* plain, size_t count, uint8_t* const* planes) {
  constexpr size_t kElements = 64 / kElementBytes;
  size_t i = 0;
  for (; i + kElements <= count; i += kElements) {
    __m512i elements = Load(plain + i * kElementBytes);
    if (kRotate) elements = Rotate<kElementBytes, true>(elements);
#pragma GCC unroll 8
    for (unsigned p = 0; p < kElementBytes; ++p) {
      if constexpr (kElementBytes == 2) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(planes[p] + i),
                            _mm512_cvtepi16_epi8(_mm512_srli_epi16(elements, 8 * p)));
      } else if constexpr (kElementBytes == 4) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(planes[p] + i),
                         _mm512_cvtepi32_epi8(_mm512_srli_epi32(elements, 8 * p)));
      } else {
        _mm_storel_epi64(reinterpret_cast<__m128i*>(planes[p] + i),
                         _mm512_cvtepi64_epi8(_mm512_srli_epi64(elements, 8 * p)));
      }
    }
  }
  return i;
}

template <unsigned kElementBytes, bool kRotate>
size_t MergeWhole(const uint8_t* const* planes, size_t count, uint8_t* plain) {
  constexpr size_t kElements = 64 / kElementBytes;
  size_t i = 0;
  for (; i + kElements <= count; i += kElements) {
    __m512i elements = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (unsigned p = 0; p < kElementBytes; ++p) {
      if constexpr (kElementBytes == 2) {
        const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(planes[p] + i));
        elements = _mm512_or_si512(elements, _mm512_slli_epi16(_mm512_cvtepu8_epi16(bytes), 8 * p));
      } else if constexpr (kElementBytes == 4) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(planes[p] + i));
        elements = _mm512_or_si512(elements, _mm512_slli_epi32(_mm512_cvtepu8_epi32(bytes), 8 * p));
      } else {
        const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(planes[p] + i));
        elements = _mm512_or_si512(elements, _mm512_slli_epi64(_mm512_cvtepu8_epi64(bytes), 8 * p));
      }
    }
    if (kRotate) elements = Rotate<kElementBytes, false>(elements);
    PrefetchOutput(plain + i * kElementBytes, 64);
    _mm512_storeu_si512(plain + i * kElementBytes, elements);
  }
  return i;
}

// By element_bytes / 4 and rotate_sign. The rest, below one register, is left to the scalar kernel.
constexpr decltype(&SplitWhole<2, false>) kSplitWhole[3][2] = {{SplitWhole<2, false>, SplitWhole<2, true>},
                                                               {SplitWhole<4, false>, SplitWhole<4, true>},
                                                               {SplitWhole<8, false>, SplitWhole<8, true>}};
constexpr decltype(&MergeWhole<2, false>) kMergeWhole[3][2] = {{MergeWhole<2, false>, MergeWhole<2, true>},
                                                               {MergeWhole<4, false>, MergeWhole<4, true>},
                                                               {MergeWhole<8, false>, MergeWhole<8, true>}};

void SplitPlanes(const uint8_t* plain, size_t count, unsigned element_bytes, bool rotate_sign, uint8_t* const* planes) {
  const size_t done = kSplitWhole[element_bytes / 4][rotate_sign](plain, count, planes);
  SplitRest(plain, done, count, element_bytes, rotate_sign, planes);
}

void MergePlanes(const uint8_t* const* planes, size_t count, unsigned element_bytes, bool rotate_sign, uint8_t* plain) {
  const size_t done = kMergeWhole[element_bytes / 4][rotate_sign](planes, count, plain);
  MergeRest(planes, done, count, element_bytes, rotate_sign, plain);
}

void MergeTrellis(const uint8_t* indices, size_t count, uint8_t* values) {
  const __m512i ones = _mm512_set1_epi8(1);
  TrellisPath path;
  size_t i = 0;
  for (; i + 128 <= count; i += 128) {
    const __m512i index[2] = {Load(indices + i), Load(indices + i + 64)};
    uint64_t c[2] = {_cvtmask64_u64(_mm512_test_epi8_mask(index[0], ones)),
                     _cvtmask64_u64(_mm512_test_epi8_mask(index[1], ones))};
    // Keeps them in general registers: moving them there once for each use keeps a port busy that all else here needs.
    asm("" : "+r"(c[0]), "+r"(c[1]));
    uint64_t b[2];
    path.NextTwo(c, DivideByMultiplying, b);
    for (unsigned v = 0; v < 2; ++v) {
      const __m512i doubled = _mm512_add_epi8(index[v], index[v]);
      const __mmask64 is_odd = _mm512_movepi8_mask(index[v]) ^ _cvtu64_mask64(b[v]);
      _mm512_storeu_si512(values + i + 64 * v, _mm512_mask_add_epi8(doubled, is_odd, doubled, ones));
    }
  }
  MergeTrellisWith(path, indices + i, count - i, values + i);
}

}  // namespace

const Kernels kAvx512Kernels = {
    .name = "avx512",
    .split_planes = SplitPlanes,
    .merge_planes = MergePlanes,
    .merge_trellis = MergeTrellis,
    .split_trellis = nullptr,
    .decode_tans = DecodeTans,
    .tans_piece_bytes = 4096,
    .decode_prefix = DecodePrefix,
    .decode_escapes = DecodeEscapes,
    .finish_rounds = FinishRounds,
    .classify = ClassifyAvx512,
    .encode_tans = EncodeTansAvx512,
    .interleave = InterleaveAvx512,
};

}  // namespace entrofs::codec
