#pragma once

#include <immintrin.h>
#include <stdint.h>

// What the AVX-512 kernels share. In an anonymous namespace, because only files compiled for AVX-512 may hold this
// code.
namespace entrofs::codec {
namespace {

constexpr unsigned kVectors = 4;  // of a round's bytes; of 16 lanes each
// Truth table of a | (b & c) for vpternlog.
constexpr int kOrAnd = 0xf8;

inline __m512i Load(const void* p) { return _mm512_loadu_si512(p); }

// The entries of a table of 256 bytes.
inline __m512i LookupBytes(const __m512i* table, __m512i index) {
  const __m512i low = _mm512_permutex2var_epi8(table[0], index, table[1]);
  const __m512i high = _mm512_permutex2var_epi8(table[2], index, table[3]);
  return _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(index), high);
}

}  // namespace
}  // namespace entrofs::codec
