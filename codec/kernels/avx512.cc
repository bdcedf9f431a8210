// AVX-512 kernels for CPUs with VBMI and VBMI2 (Ice Lake, Zen 4 and later).
//
// All 64-entry tables live in one register each and are read with vpermb. Sixteen lanes share a register; the four
// registers of a round are stepped together, because one chain alone would wait for its own latency.

#include <immintrin.h>
#include <string.h>

#include "codec/kernels/kernels.h"

namespace entrofs::codec {
namespace {

constexpr unsigned kVectors = 4;       // of 16 lanes each
constexpr size_t kRoundsPerChunk = 4;  // decoded to held bytes before they are finished
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

// Decodes `rounds` rounds to held bytes. False when a round has taken more than main had.
bool DecodeHeld(const TansTables& tables, size_t rounds, TansLanes& lanes_in_memory, StreamCursor& cursor,
                uint8_t* held) {
  const __m512i bit_count = Load(tables.bit_count);
  const __m512i next_prefix = Load(tables.next_prefix);
  const __m512i held_bytes = Load(tables.held);
  // Byte i of a lane's refill is taken when at least 8 * (i + 1) bits were consumed.
  const __m512i thresholds = _mm512_set1_epi32(0x20181008);
  const __m512i spread_low_byte =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
  const __m512i seven = _mm512_set1_epi32(7);
  const uint8_t* main = cursor.main;
  Lanes lanes = LoadLanes(lanes_in_memory);
  bool ok = true;
  for (size_t round = 0; round < rounds; ++round, held += kRoundBytes) {
    _mm_prefetch(reinterpret_cast<const char*>(main) + kPrefetchBytes, _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(main) + kPrefetchBytes + 64, _MM_HINT_T0);
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
        lanes.consumed[v] = _mm512_add_epi32(lanes.consumed[v], count);
      }
    }
#pragma GCC unroll 4
    for (unsigned v = 0; v < kVectors; ++v) {
      _mm512_store_si512(held + 64 * v, _mm512_permutexvar_epi8(states[v], held_bytes));
    }
    if (main > cursor.main_end) [[unlikely]] {
      ok = false;
      break;
    }
  }
  cursor.main = main;
  StoreLanes(lanes, lanes_in_memory);
  return ok;
}

// The raw bits of outputs 64 * v .. 64 * v + 63 of a round, one per byte, merged into `bytes`.
template <unsigned kRawBits>
__m512i MergeRaw(__m512i bytes, unsigned v, const uint8_t* raw) {
  constexpr unsigned kCrumbShift = kRawBits & 4 ? 4 : 0;
  constexpr unsigned kBitShift = kCrumbShift + (kRawBits & 2 ? 2 : 0);
  const uint8_t* crumbs = raw + (kRawBits & 4 ? kRoundBytes / 2 : 0);
  const uint8_t* bits = crumbs + (kRawBits & 2 ? kRoundBytes / 4 : 0);
  if constexpr ((kRawBits & 4) != 0) {
    __m512i plane = Load(raw + 64 * (v / 2));
    if (v % 2 == 1) plane = _mm512_srli_epi16(plane, 4);
    bytes = _mm512_ternarylogic_epi64(bytes, plane, _mm512_set1_epi8(15), kOrAnd);
  }
  if constexpr ((kRawBits & 2) != 0) {
    __m512i plane = Load(crumbs);
    if (2 * v >= kCrumbShift) {
      plane = _mm512_srli_epi16(plane, 2 * v - kCrumbShift);
    } else {
      plane = _mm512_slli_epi16(plane, kCrumbShift - 2 * v);
    }
    bytes = _mm512_ternarylogic_epi64(bytes, plane, _mm512_set1_epi8(3 << kCrumbShift), kOrAnd);
  }
  if constexpr ((kRawBits & 1) != 0) {
    __m512i plane = _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bits)));
    const int64_t low = (2 * v - kBitShift) & 63;
    const int64_t high = (2 * v + 1 - kBitShift) & 63;
    plane = _mm512_rorv_epi64(plane, _mm512_setr_epi64(low, low, low, low, high, high, high, high));
    bytes = _mm512_ternarylogic_epi64(bytes, plane, _mm512_set1_epi8(1 << kBitShift), kOrAnd);
  }
  return bytes;
}

template <unsigned kRawBits, bool kEscapes>
bool Finish(const FinishTables& tables, size_t rounds, uint8_t* held, StreamCursor& cursor, uint8_t* plain) {
  const __m512i marker = _mm512_set1_epi8(static_cast<char>(tables.escape_marker));
  __m512i values[4];
  for (unsigned i = 0; i < 4; ++i) values[i] = Load(tables.value_of_rank + 64 * i);
  const uint8_t* escapes = cursor.escapes;
  const uint8_t* raw = cursor.raw;
  for (size_t round = 0; round < rounds; ++round, held += kRoundBytes, plain += kRoundBytes) {
#pragma GCC unroll 4
    for (unsigned v = 0; v < kVectors; ++v) {
      __m512i bytes = Load(held + 64 * v);
      if constexpr (kEscapes) {
        const __mmask64 escaped = _mm512_cmpeq_epi8_mask(bytes, marker);
        bytes = _mm512_mask_expand_epi8(bytes, escaped, Load(escapes));
        escapes += _mm_popcnt_u64(escaped);
      }
      if constexpr (kRawBits > 0) {
        bytes = MergeRaw<kRawBits>(bytes, v, raw);
        const __m512i low = _mm512_permutex2var_epi8(values[0], bytes, values[1]);
        const __m512i high = _mm512_permutex2var_epi8(values[2], bytes, values[3]);
        bytes = _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(bytes), high);
      }
      _mm512_storeu_si512(plain + 64 * v, bytes);
    }
    raw += kRoundBytes / 8 * kRawBits;
    if (kEscapes && escapes > cursor.escapes_end) [[unlikely]] {
      return false;
    }
  }
  cursor.escapes = escapes;
  cursor.raw = raw;
  return true;
}

using FinishFunction = bool (*)(const FinishTables&, size_t, uint8_t*, StreamCursor&, uint8_t*);
constexpr FinishFunction kFinish[6][2] = {
    {Finish<0, false>, Finish<0, true>}, {Finish<1, false>, Finish<1, true>}, {Finish<2, false>, Finish<2, true>},
    {Finish<3, false>, Finish<3, true>}, {Finish<4, false>, Finish<4, true>}, {Finish<5, false>, Finish<5, true>},
};

bool FinishRounds(const FinishTables& tables, size_t rounds, uint8_t* held, StreamCursor& cursor, uint8_t* plain) {
  return kFinish[tables.raw_bits][tables.has_escapes](tables, rounds, held, cursor, plain);
}

bool DecodeTans(const TansTables& tables, size_t rounds, TansLanes& lanes, StreamCursor& cursor, uint8_t* plain) {
  alignas(64) uint8_t held[kRoundsPerChunk * kRoundBytes];
  const FinishFunction finish = kFinish[tables.finish.raw_bits][tables.finish.has_escapes];
  while (rounds > 0) {
    const size_t chunk = rounds < kRoundsPerChunk ? rounds : kRoundsPerChunk;
    if (!DecodeHeld(tables, chunk, lanes, cursor, held)) return false;
    if (!finish(tables.finish, chunk, held, cursor, plain)) return false;
    plain += chunk * kRoundBytes;
    rounds -= chunk;
  }
  return true;
}

}  // namespace

const Kernels kAvx512Kernels = {
    .name = "avx512",
    .split_planes = nullptr,
    .merge_planes = nullptr,
    .decode_tans = DecodeTans,
    .decode_prefix = nullptr,
    .finish_rounds = FinishRounds,
};

}  // namespace entrofs::codec
