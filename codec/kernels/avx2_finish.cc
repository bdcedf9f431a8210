// AVX2 kernels that turn held bytes into plain ones.

#include "codec/kernels/avx2_finish.h"

#include <immintrin.h>

#include "codec/kernels/avx2_lookup.h"
#include "codec/kernels/prefetch.h"

namespace entrofs::codec {
namespace {

constexpr size_t kMostBlocks = kAvx2RoundsPerChunk * kRoundBytes / 64;
constexpr unsigned kMostParts = 16;  // of 16 ranks

// Where the markers of a chunk are: a bit per byte.
struct Escaped {
  uint64_t in_block[kMostBlocks] = {};
};

// Replaces the markers among `blocks` times 64 held bytes, the byte after which is writable. Without branches for up to
// four in 64 bytes: a patch past the last marker lands on the byte after the 64, which is put back. All markers are
// found before the first patch, because a vector load would wait for the bytes just written.
bool PatchEscapes(uint8_t marker_byte, size_t blocks, uint8_t* held, StreamCursor& cursor, Escaped& escaped) {
  const __m256i marker = _mm256_set1_epi8(static_cast<char>(marker_byte));
  auto find = [&](const uint8_t* bytes) {
    return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(Load(bytes), marker)));
  };
  for (size_t i = 0; i < blocks; ++i) {
    escaped.in_block[i] = find(held + 64 * i) | static_cast<uint64_t>(find(held + 64 * i + 32)) << 32;
  }
  const uint8_t* escapes = cursor.escapes;
  for (size_t i = 0; i < blocks; ++i) {
    uint8_t* const bytes = held + 64 * i;
    uint64_t mask = escaped.in_block[i];
    const int64_t count = _mm_popcnt_u64(mask);
    const uint8_t after = bytes[64];
    bytes[_tzcnt_u64(mask)] = escapes[0];
    mask = _blsr_u64(mask);
    bytes[_tzcnt_u64(mask)] = escapes[1];
    mask = _blsr_u64(mask);
    bytes[_tzcnt_u64(mask)] = escapes[2];
    mask = _blsr_u64(mask);
    bytes[_tzcnt_u64(mask)] = escapes[3];
    mask = _blsr_u64(mask);
    bytes[64] = after;
    for (unsigned j = 4; mask != 0; ++j, mask = _blsr_u64(mask)) bytes[_tzcnt_u64(mask)] = escapes[j];
    escapes += count;
    if (escapes > cursor.escapes_end) [[unlikely]] {
      return false;
    }
  }
  cursor.escapes = escapes;
  return true;
}

// The raw bits of outputs 32 * v .. 32 * v + 31 of a round, one per byte: nibbles lowest, then crumbs, then bits.
template <unsigned kRawBits>
inline __attribute__((always_inline)) __m256i RawBits(unsigned v, const uint8_t* raw) {
  constexpr unsigned kCrumbShift = kRawBits & 4 ? 4 : 0;
  constexpr unsigned kBitShift = kCrumbShift + (kRawBits & 2 ? 2 : 0);
  const uint8_t* crumbs = raw + (kRawBits & 4 ? kRoundBytes / 2 : 0);
  const uint8_t* bits = crumbs + (kRawBits & 2 ? kRoundBytes / 4 : 0);
  __m256i all = _mm256_setzero_si256();
  if constexpr ((kRawBits & 4) != 0) {
    __m256i plane = Load(raw + 64 * (v / 4) + 32 * (v % 2));
    if (v & 2) plane = _mm256_srli_epi16(plane, 4);
    all = _mm256_and_si256(plane, _mm256_set1_epi8(15));
  }
  if constexpr ((kRawBits & 2) != 0) {
    __m256i plane = Load(crumbs + 32 * (v % 2));
    const unsigned from = 2 * (v / 2);
    plane = from >= kCrumbShift ? _mm256_srli_epi16(plane, static_cast<int>(from - kCrumbShift))
                                : _mm256_slli_epi16(plane, static_cast<int>(kCrumbShift - from));
    all = _mm256_or_si256(all, _mm256_and_si256(plane, _mm256_set1_epi8(3 << kCrumbShift)));
  }
  if constexpr ((kRawBits & 1) != 0) {
    __m256i plane = Load(bits);
    plane = v >= kBitShift ? _mm256_srli_epi16(plane, static_cast<int>(v - kBitShift))
                           : _mm256_slli_epi16(plane, static_cast<int>(kBitShift - v));
    all = _mm256_or_si256(all, _mm256_and_si256(plane, _mm256_set1_epi8(1 << kBitShift)));
  }
  return all;
}

// The zigzag around 0 of ranks held | raw. With up to four raw bits they give the sign, and what is to be
// exclusive-ored to half the class, by one lookup. (Held bytes have no bits of their own below 2, so no bit comes in
// from a neighbour.)
template <unsigned kRawBits>
inline __attribute__((always_inline)) __m256i Zigzag(__m256i held, __m256i raw) {
  if constexpr (kRawBits <= 4) {
    const __m256i of_raw =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, ~0, 1, ~1, 2, ~2, 3, ~3, 4, ~4, 5, ~5, 6, ~6, 7, ~7));
    return _mm256_xor_si256(_mm256_srli_epi16(held, 1), _mm256_shuffle_epi8(of_raw, raw));
  } else {
    const __m256i rank = _mm256_or_si256(held, raw);
    const __m256i half = _mm256_and_si256(_mm256_srli_epi16(rank, 1), _mm256_set1_epi8(127));
    const __m256i odd = _mm256_and_si256(rank, _mm256_set1_epi8(1));
    return _mm256_xor_si256(half, _mm256_sub_epi8(_mm256_setzero_si256(), odd));
  }
}

template <unsigned kRawBits>
void MergeZigzag(const FinishTables& tables, size_t rounds, const uint8_t* held, const uint8_t* raw, uint8_t* plain) {
  const __m256i center = _mm256_set1_epi8(static_cast<char>(tables.center));
  for (size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 8
    for (unsigned v = 0; v < kRoundBytes / 32; ++v) {
      const __m256i zigzag = Zigzag<kRawBits>(Load(held + 32 * v), RawBits<kRawBits>(v, raw));
      Store(plain + 32 * v, _mm256_add_epi8(zigzag, center));
    }
    held += kRoundBytes;
    plain += kRoundBytes;
    raw += kRoundBytes / 8 * kRawBits;
  }
}

// Makes ranks of the held bytes, in place.
template <unsigned kRawBits>
void MergeRanks(size_t rounds, uint8_t* held, const uint8_t* raw) {
  for (size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 8
    for (unsigned v = 0; v < kRoundBytes / 32; ++v) {
      Store(held + 32 * v, _mm256_or_si256(Load(held + 32 * v), RawBits<kRawBits>(v, raw)));
    }
    held += kRoundBytes;
    raw += kRoundBytes / 8 * kRawBits;
  }
}

// Replaces ranks below 16 * kParts by their values, others by anything.
template <unsigned kParts>
void LookUpValues(const uint8_t* value_of_rank, size_t bytes, const uint8_t* ranks, uint8_t* plain) {
  const LookupParts<kParts> value_of(value_of_rank);
  for (size_t i = 0; i < bytes; i += 32) Store(plain + i, value_of(Load(ranks + i)));
}

// The same for all ranks, a quarter of them one by one, which are loads and stores while the rest keeps the vector
// units busy.
template <>
void LookUpValues<kMostParts>(const uint8_t* value_of_rank, size_t bytes, const uint8_t* ranks, uint8_t* plain) {
  const LookupParts<kMostParts> value_of(value_of_rank);
  for (size_t i = 0; i < bytes; i += 128) {
#pragma GCC unroll 3
    for (size_t j = 0; j < 96; j += 32) Store(plain + i + j, value_of(Load(ranks + i + j)));
#pragma GCC unroll 32
    for (size_t j = 96; j < 128; ++j) plain[i + j] = value_of_rank[ranks[i + j]];
  }
}

constexpr decltype(&MergeZigzag<1>) kMergeZigzag[6] = {nullptr,        MergeZigzag<1>, MergeZigzag<2>,
                                                       MergeZigzag<3>, MergeZigzag<4>, MergeZigzag<5>};
constexpr decltype(&MergeRanks<1>) kMergeRanks[6] = {nullptr,       MergeRanks<1>, MergeRanks<2>,
                                                     MergeRanks<3>, MergeRanks<4>, MergeRanks<5>};
// Any order but zigzag. Only escapes have ranks of classes that are not coded: where those are many, their values are
// put in one by one, and no more of the table than the others need is looked into for every byte. Again without
// branches for up to three: a superfluous one puts in the block's first value.
template <unsigned kParts>
void Order(const FinishTables& tables, const Escaped& escaped, size_t blocks, const uint8_t* ranks, uint8_t* plain) {
  LookUpValues<kParts>(tables.value_of_rank, 64 * blocks, ranks, plain);
  if (kParts == kMostParts) return;
  for (size_t i = 0; i < blocks; ++i, ranks += 64, plain += 64) {
    uint64_t mask = escaped.in_block[i];
    auto put = [&] {
      const uint64_t at = _tzcnt_u64(mask) % 64;
      plain[at] = tables.value_of_rank[ranks[at]];
      mask = _blsr_u64(mask);
    };
#pragma GCC unroll 3
    for (int j = 0; j < 3; ++j) put();
    while (mask != 0) put();
  }
}

// By the number of parts that coded ranks take, less one, in pairs. From 13 on the whole table is cheaper.
constexpr decltype(&Order<kMostParts>) kOrder[kMostParts / 2] = {
    Order<2>, Order<4>, Order<6>, Order<8>, Order<10>, Order<12>, Order<kMostParts>, Order<kMostParts>};

void Copy(const uint8_t* from, size_t bytes, uint8_t* to) {
  for (size_t i = 0; i < bytes; i += 32) Store(to + i, Load(from + i));
}

}  // namespace

bool FinishChunkAvx2(const FinishTables& tables, size_t rounds, uint8_t* held, StreamCursor& cursor, uint8_t* plain) {
  const size_t blocks = rounds * kRoundBytes / 64;
  Escaped escaped;
  if (tables.has_escapes && !PatchEscapes(tables.escape_marker, blocks, held, cursor, escaped)) return false;
  if (tables.raw_bits == 0) {
    if (plain != held) Copy(held, 64 * blocks, plain);
  } else if (tables.is_zigzag) {
    kMergeZigzag[tables.raw_bits](tables, rounds, held, cursor.raw, plain);
  } else {
    kMergeRanks[tables.raw_bits](rounds, held, cursor.raw);
    kOrder[(tables.coded_ranks - 1) / 32](tables, escaped, blocks, held, plain);
  }
  cursor.raw += rounds * (kRoundBytes / 8) * tables.raw_bits;
  return true;
}

bool FinishRoundsAvx2(const FinishTables& tables, size_t rounds, uint8_t* held, StreamCursor& cursor, uint8_t* plain) {
  while (rounds > 0) {
    const size_t chunk = rounds < kAvx2RoundsPerChunk ? rounds : kAvx2RoundsPerChunk;
    PrefetchOutput(plain, chunk * kRoundBytes);
    if (!FinishChunkAvx2(tables, chunk, held, cursor, plain)) return false;
    held += chunk * kRoundBytes;
    plain += chunk * kRoundBytes;
    rounds -= chunk;
  }
  return true;
}

}  // namespace entrofs::codec
