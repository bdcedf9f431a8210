// Sixteen codes at a time: widened, multiplied in binary32, rounded by integer arithmetic. Results of two bytes of long
// runs are looked up instead.

#include <immintrin.h>

#include "view/kernels/kernels.h"

namespace entrofs::view {
namespace {

enum Form { kU8, kI8, kU4 };
enum Output { kBf16, kF16, kF32 };

// Codes less the zero point, times the scale. With `is_long` in binary32 rounded to odd: not
// exact but enough to be rounded again.
template <bool is_long>
__m512 Multiply(__m512i codes, __m512i zero, __m512 scale) {
  const __m512 factor = _mm512_cvtepi32_ps(_mm512_sub_epi32(codes, zero));
  const __m512 product = _mm512_mul_ps(factor, scale);
  if constexpr (!is_long) return product;
  const __m512 rest = _mm512_fmsub_ps(factor, scale, product);
  const __mmask16 inexact = _mm512_cmp_ps_mask(rest, _mm512_setzero_ps(), _CMP_NEQ_UQ);
  const __m512i bits = _mm512_castps_si512(product);
  // Where the rest has the other sign, the product is too far from zero.
  const __mmask16 too_far = _mm512_movepi32_mask(_mm512_xor_si512(bits, _mm512_castps_si512(rest)));
  const __m512i one = _mm512_set1_epi32(1);
  __m512i odd = _mm512_mask_sub_epi32(bits, inexact & too_far, bits, one);
  odd = _mm512_mask_or_epi32(odd, inexact, odd, one);
  return _mm512_castsi512_ps(odd);
}

__m256i RoundToBf16(__m512 value) {
  const __m512i bits = _mm512_castps_si512(value);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
}

template <Output output, bool is_long>
void Store(__m512i codes, __m512i zero, __m512 scale, uint8_t* at) {
  const __m512 value = Multiply < is_long && output != kF32 > (codes, zero, scale);
  if constexpr (output == kF32) _mm512_storeu_ps(at, value);
  if constexpr (output == kBf16) _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), RoundToBf16(value));
  if constexpr (output == kF16) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(at),
                        _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
}

template <Form form>
__m512i Widen(__m128i codes) {
  return form == kI8 ? _mm512_cvtepi8_epi32(codes) : _mm512_cvtepu8_epi32(codes);
}

// 32 codes from 16 bytes.
__m256i SplitHalves(__m128i bytes) {
  const __m128i low_mask = _mm_set1_epi8(15);
  const __m128i low = _mm_and_si128(bytes, low_mask), high = _mm_and_si128(_mm_srli_epi16(bytes, 4), low_mask);
  return _mm256_setr_m128i(_mm_unpacklo_epi8(low, high), _mm_unpackhi_epi8(low, high));
}

template <Form form, Output output, bool is_long>
void Run32(const uint8_t* codes, __m512i zero, __m512 scale, uint8_t* out) {
  constexpr size_t kBytes = output == kF32 ? 4 : 2;
  __m256i bytes;
  if constexpr (form == kU4) {
    bytes = SplitHalves(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
  } else {
    bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
  }
  Store<output, is_long>(Widen<form>(_mm256_castsi256_si128(bytes)), zero, scale, out);
  Store<output, is_long>(Widen<form>(_mm256_extracti128_si256(bytes, 1)), zero, scale, out + 16 * kBytes);
}

template <Form form, Output output, bool is_long>
void Loop(const Run& run) {
  constexpr size_t kCodes = 32, kBytes = output == kF32 ? 4 : 2, kCodesPerByte = form == kU4 ? 2 : 1;
  const __m512i zero = _mm512_set1_epi32(run.zero);
  const __m512 scale = _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(run.scale)));
  size_t i = 0;
  for (; i + kCodes <= run.count; i += kCodes) {
    Run32<form, output, is_long>(run.codes + i / kCodesPerByte, zero, scale, run.output + i * kBytes);
  }
  if (i == run.count) return;
  const size_t rest = run.count - i;
  uint8_t codes[kCodes] = {}, out[kCodes * kBytes];
  __builtin_memcpy(codes, run.codes + i / kCodesPerByte, (rest + kCodesPerByte - 1) / kCodesPerByte);
  Run32<form, output, is_long>(codes, zero, scale, out);
  __builtin_memcpy(run.output + i * kBytes, out, rest * kBytes);
}

template <Form form, Output output>
void Compute(const Run& run) {
  run.is_long ? Loop<form, output, true>(run) : Loop<form, output, false>(run);
}

// Above this many codes, looking results up pays for making the table of them.
constexpr size_t kLongRun = 768;
constexpr size_t kLongRunOfHalves = 128;

// The low and the high bytes of the results of all 256 codes, in order.
struct Table {
  __m512i low[4], high[4];
};

template <Form form, Output output>
Table MakeTable(const Run& run) {
  alignas(64) uint8_t codes[256], values[512];
  for (unsigned i = 0; i < 256; ++i) codes[i] = static_cast<uint8_t>(i);
  Compute<form, output>({codes, 256, run.zero, run.scale, run.is_long, values});
  Table table;
  for (unsigned i = 0; i < 4; ++i) {
    const __m512i first = _mm512_load_si512(values + 128 * i), second = _mm512_load_si512(values + 128 * i + 64);
    table.low[i] =
        _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(first)), _mm512_cvtepi16_epi8(second), 1);
    table.high[i] = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(_mm512_srli_epi16(first, 8))),
                                       _mm512_cvtepi16_epi8(_mm512_srli_epi16(second, 8)), 1);
  }
  return table;
}

__m512i LookUp(const __m512i* plane, __m512i codes) {
  const __m512i below = _mm512_permutex2var_epi8(plane[0], codes, plane[1]);
  const __m512i above = _mm512_permutex2var_epi8(plane[2], codes, plane[3]);
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), below, above);
}

// Two bytes of output for each of 64 codes, whose groups of 8 are in the order 0 4 1 5 2 6 3 7.
void StoreJoined(__m512i low, __m512i high, uint8_t* out) {
  _mm512_storeu_si512(out, _mm512_unpacklo_epi8(low, high));
  _mm512_storeu_si512(out + 64, _mm512_unpackhi_epi8(low, high));
}

template <Form form, Output output>
void LookUpBytes(const Run& run) {
  const Table table = MakeTable<form, output>(run);
  const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
  size_t i = 0;
  for (; i + 64 <= run.count; i += 64) {
    const __m512i codes = _mm512_permutexvar_epi64(order, _mm512_loadu_si512(run.codes + i));
    StoreJoined(LookUp(table.low, codes), LookUp(table.high, codes), run.output + 2 * i);
  }
  if (i == run.count) return;
  Compute<form, output>({run.codes + i, run.count - i, run.zero, run.scale, run.is_long, run.output + 2 * i});
}

template <Output output>
void LookUpHalves(const Run& run) {
  alignas(32) uint8_t codes[8], values[32];
  for (unsigned i = 0; i < 8; ++i) codes[i] = static_cast<uint8_t>(0x10 + 0x22 * i);
  Compute<kU4, output>({codes, 16, run.zero, run.scale, run.is_long, values});
  const __m256i all = _mm256_load_si256(reinterpret_cast<const __m256i*>(values));
  const __m512i low = _mm512_broadcast_i32x4(_mm256_cvtepi16_epi8(all));
  const __m512i high = _mm512_broadcast_i32x4(_mm256_cvtepi16_epi8(_mm256_srli_epi16(all, 8)));
  // 8 bytes to each 16, whose halves then take the other 8.
  const __m512i order = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3);
  const __m512i mask = _mm512_set1_epi8(15);
  size_t i = 0;
  for (; i + 64 <= run.count; i += 64) {
    const __m256i loaded = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(run.codes + i / 2));
    const __m512i bytes = _mm512_permutexvar_epi64(order, _mm512_castsi256_si512(loaded));
    const __m512i joined =
        _mm512_unpacklo_epi8(_mm512_and_si512(bytes, mask), _mm512_and_si512(_mm512_srli_epi16(bytes, 4), mask));
    const __m512i codes64 = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), joined);
    StoreJoined(_mm512_shuffle_epi8(low, codes64), _mm512_shuffle_epi8(high, codes64), run.output + 2 * i);
  }
  if (i == run.count) return;
  Compute<kU4, output>({run.codes + i / 2, run.count - i, run.zero, run.scale, run.is_long, run.output + 2 * i});
}

template <Form form, Output output>
void Dequantize(const Run& run) {
  if constexpr (output != kF32) {
    if (form == kU4 && run.count >= kLongRunOfHalves) return LookUpHalves<output>(run);
    if (form != kU4 && run.count >= kLongRun) return LookUpBytes<form, output>(run);
  }
  Compute<form, output>(run);
}

}  // namespace

const Kernels kAvx512Kernels = {"avx512",
                                {{Dequantize<kU8, kBf16>, Dequantize<kU8, kF16>, Dequantize<kU8, kF32>},
                                 {Dequantize<kI8, kBf16>, Dequantize<kI8, kF16>, Dequantize<kI8, kF32>},
                                 {Dequantize<kU4, kBf16>, Dequantize<kU4, kF16>, Dequantize<kU4, kF32>}}};

}  // namespace entrofs::view
