// AVX-512 kernels of the encoder.

#include "codec/kernels/avx512_encode.h"

#include <immintrin.h>

#include "codec/kernels/avx512_lookup.h"

namespace entrofs::codec {
namespace {

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

// The encoder keeps all 64 lanes as bytes of one register. Byte 16 q + 4 j + e belongs to lane 16 j + 4 q + e, so that
// both the symbols and the steps need only shuffles within 128 bits to get there and back. As four-byte elements that
// order is its own inverse.
__m512i SwapLaneOrder(__m512i lanes) {
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), lanes);
}

__m512i Repeat128(char b0, char b1, char b2, char b3, char b4, char b5, char b6) {
  return _mm512_broadcast_i32x4(_mm_setr_epi8(b0, b1, b2, b3, b4, b5, b6, 0, 0, 0, 0, 0, 0, 0, 0, 0));
}

}  // namespace

bool ClassifyAvx512(const ClassifyTables& tables, const uint8_t* plain, size_t rounds, uint8_t* symbols,
                    uint8_t** escapes, uint8_t* raw) {
  static constexpr decltype(&ClassifyAvx512) kByRawBits[6] = {ClassifyRounds<0>, ClassifyRounds<1>, ClassifyRounds<2>,
                                                              ClassifyRounds<3>, ClassifyRounds<4>, ClassifyRounds<5>};
  return kByRawBits[tables.raw_bits](tables, plain, rounds, symbols, escapes, raw);
}

void EncodeTansAvx512(const TansEncodeTables& tables, const uint8_t* symbols, size_t rounds, uint8_t* states,
                      uint32_t* steps, uint32_t* bit_totals) {
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

uint8_t* InterleaveAvx512(const uint32_t* steps, size_t rounds, uint32_t* windows, uint32_t* bit_totals, uint8_t* end) {
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

}  // namespace entrofs::codec
