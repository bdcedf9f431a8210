// AVX2 kernels of the encoder.

#include "codec/kernels/avx2_encode.h"

#include <immintrin.h>

#include "codec/kernels/avx2_lookup.h"

namespace entrofs::codec {
namespace {

constexpr unsigned kVectors = kRoundBytes / 32;  // of a round's bytes
constexpr unsigned kGroups = 2;                  // of 32 lanes, one byte register each

__m256i Twice(__m128i value) { return _mm256_broadcastsi128_si256(value); }

__m256i ZigzagRanks(__m256i values, __m256i center) {
  const __m256i distance = _mm256_sub_epi8(values, center);
  const __m256i sign = _mm256_cmpgt_epi8(_mm256_setzero_si256(), distance);
  return _mm256_xor_si256(_mm256_add_epi8(distance, distance), sign);
}

// Cuts the raw bits of one round of ranks into planes.
template <unsigned kRawBits>
inline __attribute__((always_inline)) void PackRaw(const __m256i* ranks, uint8_t* out) {
  constexpr int kCrumbShift = kRawBits & 4 ? 4 : 0;
  constexpr int kBitShift = kCrumbShift + (kRawBits & 2 ? 2 : 0);
  if constexpr ((kRawBits & 4) != 0) {
    const __m256i low = _mm256_set1_epi8(15);
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; ++i, out += 32) {
      const __m256i* at = ranks + i / 2 * 4 + i % 2;
      Store(out, _mm256_or_si256(_mm256_and_si256(low, at[0]), _mm256_andnot_si256(low, _mm256_slli_epi16(at[2], 4))));
    }
  }
  if constexpr ((kRawBits & 2) != 0) {
#pragma GCC unroll 2
    for (unsigned i = 0; i < 2; ++i, out += 32) {
      __m256i plane = _mm256_setzero_si256();
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        const __m256i crumb = 2 * v >= kCrumbShift ? _mm256_slli_epi16(ranks[2 * v + i], 2 * v - kCrumbShift)
                                                   : _mm256_srli_epi16(ranks[2 * v + i], kCrumbShift - 2 * v);
        const __m256i mask = _mm256_set1_epi8(static_cast<char>(3 << (2 * v)));
        plane = _mm256_or_si256(plane, _mm256_and_si256(crumb, mask));
      }
      Store(out, plane);
    }
  }
  if constexpr ((kRawBits & 1) != 0) {
    __m256i plane = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) {
      const __m256i bit =
          v >= kBitShift ? _mm256_slli_epi16(ranks[v], v - kBitShift) : _mm256_srli_epi16(ranks[v], kBitShift - v);
      plane = _mm256_or_si256(plane, _mm256_and_si256(bit, _mm256_set1_epi8(static_cast<char>(1 << v))));
    }
    Store(out, plane);
  }
}

// Appends the classes of the symbols that escape among 64. Without branches for up to three: what is written past the
// last is overwritten by the next. Returns where the next goes.
inline __attribute__((always_inline)) uint8_t* AppendEscapes(uint64_t escaped, const uint8_t* classes,
                                                             uint8_t* escapes) {
  const int64_t count = _mm_popcnt_u64(escaped);
#pragma GCC unroll 3
  for (unsigned i = 0; i < 3; ++i, escaped = _blsr_u64(escaped)) escapes[i] = classes[_tzcnt_u64(escaped)];
  for (unsigned i = 3; escaped != 0; ++i, escaped = _blsr_u64(escaped)) escapes[i] = classes[_tzcnt_u64(escaped)];
  return escapes + count;
}

template <unsigned kRawBits, bool kZigzag>
bool ClassifyRounds(const ClassifyTables& tables, const uint8_t* plain, size_t rounds, uint8_t* symbols,
                    uint8_t** escapes, uint8_t* raw) {
  const __m256i center = _mm256_set1_epi8(static_cast<char>(tables.center));
  const Lookup256 rank_of(tables.rank_of_value);
  const __m256i escape_symbol = _mm256_set1_epi8(static_cast<char>(tables.coded_classes));
  const __m256i class_mask = _mm256_set1_epi8(static_cast<char>(0xff >> kRawBits));
  uint8_t* escape = *escapes;
  for (size_t round = 0; round < rounds; ++round, plain += kRoundBytes, symbols += kRoundBytes) {
    __m256i ranks[kVectors];
    alignas(32) uint8_t classes[kRoundBytes + 1];
    classes[kRoundBytes] = 0;
    uint32_t escaped[kVectors];
#pragma GCC unroll 8
    for (unsigned v = 0; v < kVectors; ++v) {
      const __m256i values = Load(plain + 32 * v);
      ranks[v] = kZigzag ? ZigzagRanks(values, center) : rank_of(values);
      const __m256i class_number = _mm256_and_si256(_mm256_srli_epi16(ranks[v], kRawBits), class_mask);
      const __m256i symbol = _mm256_min_epu8(class_number, escape_symbol);
      Store(classes + 32 * v, class_number);
      Store(symbols + 32 * v, symbol);
      escaped[v] = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(symbol, escape_symbol)));
    }
    for (unsigned v = 0; v < kVectors; v += 2) {
      escape = AppendEscapes(escaped[v] | static_cast<uint64_t>(escaped[v + 1]) << 32, classes + 32 * v, escape);
    }
    PackRaw<kRawBits>(ranks, raw);
    raw += kRoundBytes / 8 * kRawBits;
  }
  for (const uint8_t* at = *escapes; at != escape; ++at) {
    if (!tables.class_has_code[*at]) return false;
  }
  *escapes = escape;
  return true;
}

// Lane 8 * j + 4 * h + e of a group, in the order that four consecutive symbols of each lane come to lie in when they
// are taken apart within 128 bits, is byte 16 * h + 4 * j + e.
unsigned LaneOfByte(unsigned byte) { return 8 * (byte / 4 % 4) + 4 * (byte / 16) + byte % 4; }

// What the encoder looks up by symbol, of which there are at most 16 * kParts, and by state.
template <unsigned kParts>
struct EncodeLookups {
  Lookup<kParts> bit_base, threshold, offset;
  Lookup<4> state_of;
  explicit EncodeLookups(const TansEncodeTables& tables)
      : bit_base(tables.bit_base), threshold(tables.threshold), offset(tables.offset), state_of(tables.state_of) {}
};

__m256i ByCount(__m256i count, char b0, char b1, char b2, char b3, char b4, char b5, char b6) {
  return _mm256_shuffle_epi8(Twice(_mm_setr_epi8(b0, b1, b2, b3, b4, b5, b6, 0, 0, 0, 0, 0, 0, 0, 0, 0)), count);
}

// One step of 32 lanes: from `state` to the one before, which reads `count` bits, `bits`, to come to it.
template <unsigned kParts>
inline __attribute__((always_inline)) __m256i StateBefore(const EncodeLookups<kParts>& lookups, __m256i symbol,
                                                          __m256i state, __m256i& count, __m256i& bits) {
  const __m256i low_byte = _mm256_set1_epi16(0xff);
  const __m256i fewer = _mm256_cmpgt_epi8(lookups.threshold(symbol), state);
  count = _mm256_add_epi8(_mm256_add_epi8(lookups.bit_base(symbol), _mm256_set1_epi8(1)), fewer);
  bits = _mm256_and_si256(state, ByCount(count, 0, 1, 3, 7, 15, 31, 63));
  // (64 + state) >> count as a product: times 2^(6 - count), then shifted by 6; even and odd bytes apart.
  const __m256i number = _mm256_or_si256(state, _mm256_set1_epi8(64));
  const __m256i power = ByCount(count, 64, 32, 16, 8, 4, 2, 1);
  const __m256i even = _mm256_maddubs_epi16(_mm256_and_si256(number, low_byte), power);
  const __m256i odd = _mm256_maddubs_epi16(_mm256_andnot_si256(low_byte, number), power);
  const __m256i shifted =
      _mm256_or_si256(_mm256_srli_epi16(even, 6), _mm256_andnot_si256(low_byte, _mm256_slli_epi16(odd, 2)));
  return lookups.state_of(_mm256_add_epi8(shifted, lookups.offset(symbol)));
}

// The symbols of a group in one round, by step.
inline __attribute__((always_inline)) void LoadSymbols(const uint8_t* symbols, __m256i* by_step) {
  const __m256i order = Twice(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  __m256i lanes[4];
#pragma GCC unroll 4
  for (unsigned j = 0; j < 4; ++j) lanes[j] = _mm256_shuffle_epi8(Load(symbols + 32 * j), order);
  const __m256i low01 = _mm256_unpacklo_epi32(lanes[0], lanes[1]);
  const __m256i low23 = _mm256_unpacklo_epi32(lanes[2], lanes[3]);
  const __m256i high01 = _mm256_unpackhi_epi32(lanes[0], lanes[1]);
  const __m256i high23 = _mm256_unpackhi_epi32(lanes[2], lanes[3]);
  by_step[0] = _mm256_unpacklo_epi64(low01, low23);
  by_step[1] = _mm256_unpackhi_epi64(low01, low23);
  by_step[2] = _mm256_unpacklo_epi64(high01, high23);
  by_step[3] = _mm256_unpackhi_epi64(high01, high23);
}

// Puts the bits of a group's four steps together, the first step's topmost, and stores them.
inline __attribute__((always_inline)) void StoreSteps(const __m256i* bits, const __m256i* count, uint32_t* steps,
                                                      __m256i* totals) {
  const __m256i one = _mm256_set1_epi8(1);
  const __m256i zero = _mm256_setzero_si256();
  __m256i power[4];
#pragma GCC unroll 3
  for (unsigned i = 1; i < 4; ++i) power[i] = ByCount(count[i], 1, 2, 4, 8, 16, 32, 64);
  const __m256i all = _mm256_add_epi8(_mm256_add_epi8(count[0], count[1]), _mm256_add_epi8(count[2], count[3]));
#pragma GCC unroll 2
  for (unsigned half = 0; half < 2; ++half) {
    auto interleave = [half](__m256i a, __m256i b) __attribute__((always_inline)) {
      return half == 0 ? _mm256_unpacklo_epi8(a, b) : _mm256_unpackhi_epi8(a, b);
    };
    const __m256i pair01 = _mm256_maddubs_epi16(interleave(bits[0], bits[1]), interleave(power[1], one));
    const __m256i pair23 = _mm256_maddubs_epi16(interleave(bits[2], bits[3]), interleave(power[3], one));
    const __m256i power23 = _mm256_mullo_epi16(interleave(power[2], zero), interleave(power[3], zero));
    const __m256i top = interleave(zero, all);
#pragma GCC unroll 2
    for (unsigned quarter = 0; quarter < 2; ++quarter) {
      auto interleave16 = [quarter](__m256i a, __m256i b) __attribute__((always_inline)) {
        return quarter == 0 ? _mm256_unpacklo_epi16(a, b) : _mm256_unpackhi_epi16(a, b);
      };
      const unsigned j = 2 * half + quarter;
      const __m256i joined =
          _mm256_madd_epi16(interleave16(pair01, pair23), interleave16(power23, _mm256_set1_epi16(1)));
      const __m256i counts = interleave16(zero, top);
      Store(steps + 8 * j, _mm256_or_si256(joined, counts));
      totals[j] = _mm256_add_epi32(totals[j], _mm256_srli_epi32(counts, kStepBits));
    }
  }
}

template <unsigned kParts>
void EncodeRounds(const TansEncodeTables& tables, const uint8_t* symbols, size_t rounds, uint8_t* states,
                  uint32_t* steps, uint32_t* bit_totals) {
  const EncodeLookups<kParts> lookups(tables);
  __m256i state[kGroups];
  __m256i totals[kGroups][4];
  alignas(32) uint8_t ordered[kLanes];
  for (unsigned i = 0; i < kLanes; ++i) ordered[i] = states[i / 32 * 32 + LaneOfByte(i % 32)];
  for (unsigned g = 0; g < kGroups; ++g) {
    state[g] = Load(ordered + 32 * g);
    for (unsigned j = 0; j < 4; ++j) totals[g][j] = Load(bit_totals + 32 * g + 8 * j);
  }
  for (size_t round = rounds; round-- > 0;) {
    __m256i symbol[kGroups][4], bits[kGroups][4], count[kGroups][4];
#pragma GCC unroll 2
    for (unsigned g = 0; g < kGroups; ++g) LoadSymbols(symbols + round * kRoundBytes + 128 * g, symbol[g]);
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned step = 3 - i;
#pragma GCC unroll 2
      for (unsigned g = 0; g < kGroups; ++g) {
        state[g] = StateBefore(lookups, symbol[g][step], state[g], count[g][step], bits[g][step]);
      }
    }
#pragma GCC unroll 2
    for (unsigned g = 0; g < kGroups; ++g) {
      StoreSteps(bits[g], count[g], steps + round * kLanes + 32 * g, totals[g]);
    }
  }
  for (unsigned g = 0; g < kGroups; ++g) {
    Store(ordered + 32 * g, state[g]);
    for (unsigned j = 0; j < 4; ++j) Store(bit_totals + 32 * g + 8 * j, totals[g][j]);
  }
  for (unsigned i = 0; i < kLanes; ++i) states[i / 32 * 32 + LaneOfByte(i % 32)] = ordered[i];
}

// Moves the bytes that four lanes take, 0 to 3 each, to the end of 16 bytes. By the low bits of the four numbers, then
// their high bits.
struct TakeTable {
  alignas(64) uint8_t shuffle[256][16];
  uint8_t bytes[256];
};

constexpr TakeTable MakeTakeTable() {
  TakeTable table = {};
  for (unsigned index = 0; index < 256; ++index) {
    unsigned at = 16;
    for (unsigned lane = 4; lane-- > 0;) {
      const unsigned take = (index >> lane & 1) | (index >> (4 + lane) & 1) << 1;
      for (unsigned i = take; i-- > 0;) table.shuffle[index][--at] = static_cast<uint8_t>(4 * lane + i);
    }
    table.bytes[index] = static_cast<uint8_t>(16 - at);
  }
  return table;
}
constexpr TakeTable kTake = MakeTakeTable();

inline __attribute__((always_inline)) uint8_t* StoreTaken(__m128i bytes, unsigned index, uint8_t* end) {
  const __m128i shuffle = _mm_load_si128(reinterpret_cast<const __m128i*>(kTake.shuffle[index]));
  // What is stored in front of the bytes taken is overwritten next.
  _mm_storeu_si128(reinterpret_cast<__m128i*>(end - 16), _mm_shuffle_epi8(bytes, shuffle));
  return end - kTake.bytes[index];
}

}  // namespace

bool ClassifyAvx2(const ClassifyTables& tables, const uint8_t* plain, size_t rounds, uint8_t* symbols,
                  uint8_t** escapes, uint8_t* raw) {
  using Function = decltype(&ClassifyAvx2);
  static constexpr Function kByRawBits[6][2] = {
      {ClassifyRounds<0, false>, ClassifyRounds<0, true>}, {ClassifyRounds<1, false>, ClassifyRounds<1, true>},
      {ClassifyRounds<2, false>, ClassifyRounds<2, true>}, {ClassifyRounds<3, false>, ClassifyRounds<3, true>},
      {ClassifyRounds<4, false>, ClassifyRounds<4, true>}, {ClassifyRounds<5, false>, ClassifyRounds<5, true>}};
  if (!tables.all_coded) return kScalarKernels.classify(tables, plain, rounds, symbols, escapes, raw);
  return kByRawBits[tables.raw_bits][tables.is_zigzag](tables, plain, rounds, symbols, escapes, raw);
}

void EncodeTansAvx2(const TansEncodeTables& tables, const uint8_t* symbols, size_t rounds, uint8_t* states,
                    uint32_t* steps, uint32_t* bit_totals) {
  auto encode = tables.symbols <= 16 ? EncodeRounds<1> : tables.symbols <= 32 ? EncodeRounds<2> : EncodeRounds<4>;
  encode(tables, symbols, rounds, states, steps, bit_totals);
}

uint8_t* InterleaveAvx2(const uint32_t* steps, size_t rounds, uint32_t* windows, uint32_t* bit_totals, uint8_t* end) {
  const __m256i bits_mask = _mm256_set1_epi32((1 << kStepBits) - 1);
  const __m256i seven = _mm256_set1_epi32(7);
  const __m256i thirty_two = _mm256_set1_epi32(32);
  for (size_t round = rounds; round-- > 1;) {
    for (unsigned v = kLanes / 8; v-- > 0;) {
      const __m256i step = Load(steps + round * kLanes + 8 * v);
      const __m256i count = _mm256_srli_epi32(step, kStepBits);
      // The window before the round: its own bits, then what followed.
      const __m256i bits = _mm256_sllv_epi32(_mm256_and_si256(step, bits_mask), _mm256_sub_epi32(thirty_two, count));
      const __m256i window = _mm256_or_si256(bits, _mm256_srlv_epi32(Load(windows + 8 * v), count));
      const __m256i position = _mm256_sub_epi32(Load(bit_totals + 8 * v), count);
      const __m256i count_before = _mm256_srli_epi32(Load(steps + (round - 1) * kLanes + 8 * v), kStepBits);
      const __m256i before = _mm256_sub_epi32(position, count_before);
      const __m256i take = _mm256_sub_epi32(_mm256_srli_epi32(position, 3), _mm256_srli_epi32(before, 3));
      Store(windows + 8 * v, window);
      Store(bit_totals + 8 * v, position);
      const __m256i bytes = _mm256_srlv_epi32(window, _mm256_and_si256(position, seven));
      const unsigned low = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_slli_epi32(take, 31))));
      const unsigned high = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_slli_epi32(take, 30))));
      end = StoreTaken(_mm256_extracti128_si256(bytes, 1), low >> 4 | (high & 0xf0), end);
      end = StoreTaken(_mm256_castsi256_si128(bytes), (low & 15) | (high & 15) << 4, end);
    }
  }
  // Round 0 takes all four bytes of every lane.
  return kScalarKernels.interleave(steps, 1, windows, bit_totals, end);
}

}  // namespace entrofs::codec
