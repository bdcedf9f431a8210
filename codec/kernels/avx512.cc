// AVX-512 kernels for CPUs with VBMI, VBMI2 and VNNI (Ice Lake, Zen 4 and later).
//
// All 64-entry tables live in one register each and are read with vpermb. Sixteen lanes share a register; the four
// registers of a round are stepped together, because one chain alone would wait for its own latency.

#include <immintrin.h>
#include <string.h>

#include "codec/kernels/kernels.h"
#include "codec/kernels/plane_rest.h"
#include "codec/kernels/prefetch.h"
#include "codec/kernels/prefix_loop.h"
#include "codec/kernels/trellis_divide.h"
#include "codec/kernels/trellis_path.h"

namespace entrofs::codec {
namespace {

constexpr unsigned kVectors = 4;  // of 16 lanes each
constexpr size_t kPrefetchBytes = 2048;
constexpr __mmask64 kLowByteOfLane = 0x1111111111111111;
// Truth table of a | (b & c) for vpternlog.
constexpr int kOrAnd = 0xf8;

__m512i Load(const void* p) { return _mm512_loadu_si512(p); }

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

__m512i LookupBytes(const __m512i* table, __m512i index) {
  const __m512i low = _mm512_permutex2var_epi8(table[0], index, table[1]);
  const __m512i high = _mm512_permutex2var_epi8(table[2], index, table[3]);
  return _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(index), high);
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

// Cuts the raw bits of one round of ranks into planes.
template <unsigned kRawBits>
void PackRaw(const __m512i* ranks, uint8_t* out) {
  constexpr unsigned kCrumbShift = kRawBits & 4 ? 4 : 0;
  constexpr unsigned kBitShift = kCrumbShift + (kRawBits & 2 ? 2 : 0);
  if constexpr ((kRawBits & 4) != 0) {
    const __m512i low = _mm512_set1_epi8(15);
#pragma GCC unroll 2
    for (unsigned half = 0; half < 2; ++half) {
      const __m512i high = _mm512_slli_epi16(ranks[2 * half + 1], 4);
      _mm512_storeu_si512(out + 64 * half, _mm512_ternarylogic_epi64(low, ranks[2 * half], high, 0xca));  // low ? a : b
    }
    out += kRoundBytes / 2;
  }
  if constexpr ((kRawBits & 2) != 0) {
    __m512i plane = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (unsigned v = 0; v < kVectors; ++v) {
      const __m512i crumb = 2 * v >= kCrumbShift ? _mm512_slli_epi16(ranks[v], 2 * v - kCrumbShift)
                                                 : _mm512_srli_epi16(ranks[v], kCrumbShift - 2 * v);
      plane = _mm512_ternarylogic_epi64(plane, crumb, _mm512_set1_epi8(static_cast<char>(3 << (2 * v))), kOrAnd);
    }
    _mm512_storeu_si512(out, plane);
    out += kRoundBytes / 4;
  }
  if constexpr ((kRawBits & 1) != 0) {
    __m512i plane = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (unsigned v = 0; v < kVectors; ++v) {
      // Outputs 64 v .. 64 v + 31 give bit 2 v of each byte, the other half bit 2 v + 1.
      const int64_t low = (2 * v - kBitShift) & 63;
      const int64_t high = (2 * v + 1 - kBitShift) & 63;
      const __m512i turned = _mm512_rolv_epi64(ranks[v], _mm512_setr_epi64(low, low, low, low, high, high, high, high));
      const char low_bit = static_cast<char>(1 << (2 * v));
      const char high_bit = static_cast<char>(2 << (2 * v));
      const __m512i mask = _mm512_inserti64x4(_mm512_set1_epi8(low_bit), _mm256_set1_epi8(high_bit), 1);
      plane = _mm512_ternarylogic_epi64(plane, turned, mask, kOrAnd);
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                        _mm256_or_si256(_mm512_castsi512_si256(plane), _mm512_extracti64x4_epi64(plane, 1)));
  }
}

template <unsigned kRawBits>
bool ClassifyRounds(const ClassifyTables& tables, const uint8_t* plain, size_t rounds, uint8_t* symbols,
                    uint8_t** escapes, uint8_t* raw) {
  __m512i rank_of[4];
  __m512i symbol_of[4];
  for (unsigned i = 0; i < 4; ++i) {
    rank_of[i] = Load(tables.rank_of_value + 64 * i);
    symbol_of[i] = Load(tables.symbol_of_value + 64 * i);
  }
  const __m512i escape_symbol = _mm512_set1_epi8(static_cast<char>(tables.escape_symbol));
  uint8_t* escape = *escapes;
  for (size_t round = 0; round < rounds; ++round, plain += kRoundBytes, symbols += kRoundBytes) {
    __m512i ranks[kVectors];
    __m512i all = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (unsigned v = 0; v < kVectors; ++v) {
      const __m512i values = Load(plain + 64 * v);
      const __m512i symbol = LookupBytes(symbol_of, values);
      ranks[v] = LookupBytes(rank_of, values);
      all = _mm512_or_si512(all, symbol);
      _mm512_storeu_si512(symbols + 64 * v, symbol);
      const __mmask64 escaped = _mm512_cmpeq_epi8_mask(symbol, escape_symbol);
      const __m512i classes = _mm512_and_si512(_mm512_srli_epi16(ranks[v], kRawBits),
                                               _mm512_set1_epi8(static_cast<char>(0xff >> kRawBits)));
      _mm512_storeu_si512(escape, _mm512_maskz_compress_epi8(escaped, classes));
      escape += _mm_popcnt_u64(escaped);
    }
    if (_mm512_movepi8_mask(all) != 0) [[unlikely]] {
      return false;  // kNoSymbol
    }
    PackRaw<kRawBits>(ranks, raw);
    raw += kRoundBytes / 8 * kRawBits;
  }
  *escapes = escape;
  return true;
}

bool Classify(const ClassifyTables& tables, const uint8_t* plain, size_t rounds, uint8_t* symbols, uint8_t** escapes,
              uint8_t* raw) {
  static constexpr decltype(&Classify) kByRawBits[6] = {ClassifyRounds<0>, ClassifyRounds<1>, ClassifyRounds<2>,
                                                        ClassifyRounds<3>, ClassifyRounds<4>, ClassifyRounds<5>};
  return kByRawBits[tables.raw_bits](tables, plain, rounds, symbols, escapes, raw);
}

// The encoder keeps all 64 lanes as bytes of one register. Byte 16 q + 4 j + e belongs to lane 16 j + 4 q + e, so that
// both the symbols and the steps need only shuffles within 128 bits to get there and back. As four-byte elements that
// order is its own inverse.
__m512i SwapLaneOrder(__m512i lanes) {
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), lanes);
}

__m512i Repeat128(char b0, char b1, char b2, char b3, char b4, char b5, char b6) {
  return _mm512_broadcast_i32x4(_mm_setr_epi8(b0, b1, b2, b3, b4, b5, b6, 0, 0, 0, 0, 0, 0, 0, 0, 0));
}

void EncodeTans(const TansEncodeTables& tables, const uint8_t* symbols, size_t rounds, uint8_t* states, uint32_t* steps,
                uint32_t* bit_totals) {
  const __m512i bit_base = Load(tables.bit_base);
  const __m512i threshold = Load(tables.threshold);
  const __m512i offset = Load(tables.offset);
  const __m512i state_of = Load(tables.state_of);
  // By number of bits 0..6.
  const __m512i low_mask = Repeat128(0, 1, 3, 7, 15, 31, 63);
  const __m512i power = Repeat128(1, 2, 4, 8, 16, 32, 64);
  const __m512i kept_mask = Repeat128(127, 63, 31, 15, 7, 3, 1);
  const __m512i by_step = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  const __m512i bit_of_byte = _mm512_set1_epi64(0x3830282018100800);
  const __m512i one = _mm512_set1_epi8(1);
  const __m512i zero = _mm512_setzero_si512();
  __m512i state = SwapLaneOrder(Load(states));
  __m512i totals[kVectors];
  for (unsigned v = 0; v < kVectors; ++v) totals[v] = Load(bit_totals + 16 * v);

  for (size_t round = rounds; round-- > 0;) {
    __m512i lanes[kVectors];
#pragma GCC unroll 4
    for (unsigned v = 0; v < kVectors; ++v) {
      lanes[v] = _mm512_shuffle_epi8(Load(symbols + round * kRoundBytes + 64 * v), by_step);
    }
    const __m512i low01 = _mm512_unpacklo_epi32(lanes[0], lanes[1]);
    const __m512i low23 = _mm512_unpacklo_epi32(lanes[2], lanes[3]);
    const __m512i high01 = _mm512_unpackhi_epi32(lanes[0], lanes[1]);
    const __m512i high23 = _mm512_unpackhi_epi32(lanes[2], lanes[3]);
    const __m512i symbol[4] = {_mm512_unpacklo_epi64(low01, low23), _mm512_unpackhi_epi64(low01, low23),
                               _mm512_unpacklo_epi64(high01, high23), _mm512_unpackhi_epi64(high01, high23)};
    __m512i bits[4];
    __m512i count[4];
#pragma GCC unroll 4
    for (unsigned step = 4; step-- > 0;) {
      const __mmask64 more = _mm512_cmpge_epu8_mask(state, _mm512_permutexvar_epi8(symbol[step], threshold));
      const __m512i base = _mm512_permutexvar_epi8(symbol[step], bit_base);
      count[step] = _mm512_mask_add_epi8(base, more, base, one);
      bits[step] = _mm512_and_si512(state, _mm512_shuffle_epi8(low_mask, count[step]));
      const __m512i number = _mm512_or_si512(state, _mm512_set1_epi8(64));
      const __m512i shifted =
          _mm512_and_si512(_mm512_multishift_epi64_epi8(_mm512_add_epi8(bit_of_byte, count[step]), number),
                           _mm512_shuffle_epi8(kept_mask, count[step]));
      const __m512i index = _mm512_add_epi8(shifted, _mm512_permutexvar_epi8(symbol[step], offset));
      state = _mm512_permutexvar_epi8(index, state_of);
    }
    // bits[0] is read first and so goes topmost: first pairs of steps are put together, then the pairs.
    const __m512i power1 = _mm512_shuffle_epi8(power, count[1]);
    const __m512i power3 = _mm512_shuffle_epi8(power, count[3]);
    const __m512i count23 = _mm512_add_epi8(count[2], count[3]);
    const __m512i count_all = _mm512_add_epi8(count23, _mm512_add_epi8(count[0], count[1]));
#pragma GCC unroll 2
    for (unsigned half = 0; half < 2; ++half) {
      auto interleave = [half](__m512i a, __m512i b) __attribute__((always_inline)) {
        return half == 0 ? _mm512_unpacklo_epi8(a, b) : _mm512_unpackhi_epi8(a, b);
      };
      const __m512i pair01 = _mm512_maddubs_epi16(interleave(bits[0], bits[1]), interleave(power1, one));
      const __m512i pair23 = _mm512_maddubs_epi16(interleave(bits[2], bits[3]), interleave(power3, one));
      const __m512i power23 = _mm512_sllv_epi16(_mm512_set1_epi16(1), interleave(count23, zero));
      const __m512i top = interleave(zero, count_all);
#pragma GCC unroll 2
      for (unsigned quarter = 0; quarter < 2; ++quarter) {
        auto interleave16 = [quarter](__m512i a, __m512i b) __attribute__((always_inline)) {
          return quarter == 0 ? _mm512_unpacklo_epi16(a, b) : _mm512_unpackhi_epi16(a, b);
        };
        const unsigned v = 2 * half + quarter;
        const __m512i all =
            _mm512_madd_epi16(interleave16(pair01, pair23), interleave16(power23, _mm512_set1_epi16(1)));
        const __m512i counts = interleave16(zero, top);
        _mm512_storeu_si512(steps + round * kLanes + 16 * v, _mm512_or_si512(all, counts));
        totals[v] = _mm512_add_epi32(totals[v], _mm512_srli_epi32(counts, kStepBits));
      }
    }
  }
  _mm512_storeu_si512(states, SwapLaneOrder(state));
  for (unsigned v = 0; v < kVectors; ++v) _mm512_storeu_si512(bit_totals + 16 * v, totals[v]);
}

uint8_t* Interleave(const uint32_t* steps, size_t rounds, uint32_t* windows, uint32_t* bit_totals, uint8_t* end) {
  const __m512i spread_low_byte =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
  const __m512i byte_index = _mm512_set1_epi32(0x03020100);
  const __m512i bits_mask = _mm512_set1_epi32((1 << kStepBits) - 1);
  const __m512i seven = _mm512_set1_epi32(7);
  __m512i window[kVectors];
  __m512i position[kVectors];
  __m512i step[kVectors];
  for (unsigned v = 0; v < kVectors; ++v) {
    window[v] = Load(windows + 16 * v);
    position[v] = Load(bit_totals + 16 * v);
    step[v] = Load(steps + (rounds - 1) * kLanes + 16 * v);
  }
  for (size_t round = rounds; round-- > 0;) {
#pragma GCC unroll 4
    for (unsigned v = kVectors; v-- > 0;) {
      const __m512i count = _mm512_srli_epi32(step[v], kStepBits);
      const __m512i bits =
          _mm512_sllv_epi32(_mm512_and_si512(step[v], bits_mask), _mm512_sub_epi32(_mm512_set1_epi32(32), count));
      window[v] = _mm512_or_si512(bits, _mm512_srlv_epi32(window[v], count));
      position[v] = _mm512_sub_epi32(position[v], count);
      __m512i take = _mm512_set1_epi32(4);
      if (round > 0) {
        step[v] = Load(steps + (round - 1) * kLanes + 16 * v);
        const __m512i before = _mm512_sub_epi32(position[v], _mm512_srli_epi32(step[v], kStepBits));
        take = _mm512_sub_epi32(_mm512_srli_epi32(position[v], 3), _mm512_srli_epi32(before, 3));
      }
      const __mmask64 taken = _mm512_cmpgt_epu8_mask(_mm512_shuffle_epi8(take, spread_low_byte), byte_index);
      const __m512i bytes = _mm512_srlv_epi32(window[v], _mm512_and_si512(position[v], seven));
      const unsigned length = static_cast<unsigned>(_mm_popcnt_u64(taken));
      end -= length;
      _mm512_mask_storeu_epi8(end, _bzhi_u64(~uint64_t{0}, length), _mm512_maskz_compress_epi8(taken, bytes));
    }
  }
  return end;
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
    .classify = Classify,
    .encode_tans = EncodeTans,
    .interleave = Interleave,
};

}  // namespace entrofs::codec
