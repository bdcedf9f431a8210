#pragma once

#include <immintrin.h>
#include <stdint.h>

// Tables of bytes for AVX2, which looks up 16 entries in one instruction. In an anonymous namespace, because only files
// compiled for AVX2 may hold this code.
namespace entrofs::codec {
namespace {

inline __m256i Load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline void Store(void* p, __m256i value) { _mm256_storeu_si256(static_cast<__m256i*>(p), value); }
inline __m256i LoadTwice(const void* p) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}

// A table of 16 * kParts <= 128 bytes. Parts after the first are stored as the difference to the part before.
template <unsigned kParts>
struct Lookup {
  __m256i part[kParts];

  explicit Lookup(const uint8_t* table) {
    for (unsigned i = 0; i < kParts; ++i) part[i] = LoadTwice(table + 16 * i);
    for (unsigned i = kParts - 1; i > 0; --i) part[i] = _mm256_xor_si256(part[i], part[i - 1]);
  }

  // Indices below a part are negative there and give zero; those above give the low four bits' entry. Indices from 128
  // on are negative everywhere and give zero.
  inline __attribute__((always_inline)) __m256i operator()(__m256i index) const {
    __m256i found = _mm256_shuffle_epi8(part[0], index);
#pragma GCC unroll 8
    for (unsigned i = 1; i < kParts; ++i) {
      index = _mm256_subs_epi8(index, _mm256_set1_epi8(16));
      found = _mm256_xor_si256(found, _mm256_shuffle_epi8(part[i], index));
    }
    return found;
  }
};

// What two tables hold at the same indices, in fewer instructions than asking one after the other.
template <unsigned kParts>
inline __attribute__((always_inline)) void LookUpBoth(const Lookup<kParts>& first, const Lookup<kParts>& second,
                                                      __m256i index, __m256i& in_first, __m256i& in_second) {
  in_first = _mm256_shuffle_epi8(first.part[0], index);
  in_second = _mm256_shuffle_epi8(second.part[0], index);
#pragma GCC unroll 8
  for (unsigned i = 1; i < kParts; ++i) {
    index = _mm256_subs_epi8(index, _mm256_set1_epi8(16));
    in_first = _mm256_xor_si256(in_first, _mm256_shuffle_epi8(first.part[i], index));
    in_second = _mm256_xor_si256(in_second, _mm256_shuffle_epi8(second.part[i], index));
  }
}

// The first 16 * kParts bytes of a table of 256; for other indices it finds anything.
template <unsigned kParts>
struct LookupParts {
  static constexpr bool kHasHigh = kParts > 8;
  Lookup<kHasHigh ? 8 : kParts> low;
  Lookup<kHasHigh ? kParts - 8 : 1> high;
  explicit LookupParts(const uint8_t* table) : low(table), high(table + 128) {}
  inline __attribute__((always_inline)) __m256i operator()(__m256i index) const {
    const __m256i found = low(index);
    if constexpr (!kHasHigh) return found;
    return _mm256_xor_si256(found, high(_mm256_xor_si256(index, _mm256_set1_epi8(static_cast<char>(0x80)))));
  }
};
using Lookup256 = LookupParts<16>;

}  // namespace
}  // namespace entrofs::codec
