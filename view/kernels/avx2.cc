// Eight codes at a time: widened, multiplied in binary32, rounded by integer arithmetic.

#include <immintrin.h>

#include "view/kernels/kernels.h"

namespace entrofs::view {
namespace {

enum Form { kU8, kI8, kU4 };
enum Output { kBf16, kF16, kF32 };

// Codes less the zero point, times the scale. With `is_long` in binary32 rounded to odd: not exact but enough to be
// rounded again.
template <bool is_long>
__m256 Multiply(__m256i codes, __m256i zero, __m256 scale) {
  const __m256 factor = _mm256_cvtepi32_ps(_mm256_sub_epi32(codes, zero));
  const __m256 product = _mm256_mul_ps(factor, scale);
  if constexpr (!is_long) return product;
  const __m256 rest = _mm256_fmsub_ps(factor, scale, product);
  const __m256i inexact = _mm256_castps_si256(_mm256_cmp_ps(rest, _mm256_setzero_ps(), _CMP_NEQ_UQ));
  const __m256i bits = _mm256_castps_si256(product);
  // Where the rest has the other sign, the product is too far from zero.
  const __m256i too_far = _mm256_srai_epi32(_mm256_xor_si256(bits, _mm256_castps_si256(rest)), 31);
  const __m256i nearer = _mm256_add_epi32(bits, _mm256_and_si256(inexact, too_far));
  return _mm256_castsi256_ps(_mm256_or_si256(nearer, _mm256_and_si256(inexact, _mm256_set1_epi32(1))));
}

// In the upper halves of the numbers.
__m256i RoundToBf16(__m256 value) {
  const __m256i bits = _mm256_castps_si256(value);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  return _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
}

// Sixteen numbers of codes 0..7 and 8..15.
template <Output output, bool is_long>
void Store(__m256i low, __m256i high, __m256i zero, __m256 scale, uint8_t* at) {
  const __m256 first = Multiply < is_long && output != kF32 > (low, zero, scale);
  const __m256 second = Multiply < is_long && output != kF32 > (high, zero, scale);
  auto* out = reinterpret_cast<__m256i*>(at);
  if constexpr (output == kF32) {
    _mm256_storeu_si256(out, _mm256_castps_si256(first));
    _mm256_storeu_si256(out + 1, _mm256_castps_si256(second));
  }
  if constexpr (output == kBf16) {
    const __m256i packed =
        _mm256_packus_epi32(_mm256_srli_epi32(RoundToBf16(first), 16), _mm256_srli_epi32(RoundToBf16(second), 16));
    _mm256_storeu_si256(out, _mm256_permute4x64_epi64(packed, 0xd8));
  }
  if constexpr (output == kF16) {
    constexpr int kRounding = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    _mm256_storeu_si256(out, _mm256_setr_m128i(_mm256_cvtps_ph(first, kRounding), _mm256_cvtps_ph(second, kRounding)));
  }
}

template <Form form>
__m256i Widen(__m128i codes) {
  return form == kI8 ? _mm256_cvtepi8_epi32(codes) : _mm256_cvtepu8_epi32(codes);
}

// Sixteen codes from 8 bytes.
__m128i SplitHalves(__m128i bytes) {
  const __m128i low_mask = _mm_set1_epi8(15);
  const __m128i low = _mm_and_si128(bytes, low_mask), high = _mm_and_si128(_mm_srli_epi16(bytes, 4), low_mask);
  return _mm_unpacklo_epi8(low, high);
}

template <Form form, Output output, bool is_long>
void Run16(const uint8_t* codes, __m256i zero, __m256 scale, uint8_t* out) {
  __m128i bytes;
  if constexpr (form == kU4) {
    bytes = SplitHalves(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes)));
  } else {
    bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
  }
  Store<output, is_long>(Widen<form>(bytes), Widen<form>(_mm_srli_si128(bytes, 8)), zero, scale, out);
}

template <Form form, Output output, bool is_long>
void Loop(const Run& run) {
  constexpr size_t kCodes = 16, kBytes = output == kF32 ? 4 : 2, kCodesPerByte = form == kU4 ? 2 : 1;
  const __m256i zero = _mm256_set1_epi32(run.zero);
  const __m256 scale = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(run.scale)));
  size_t i = 0;
  for (; i + kCodes <= run.count; i += kCodes) {
    Run16<form, output, is_long>(run.codes + i / kCodesPerByte, zero, scale, run.output + i * kBytes);
  }
  if (i == run.count) return;
  const size_t rest = run.count - i;
  uint8_t codes[kCodes] = {}, out[kCodes * kBytes];
  __builtin_memcpy(codes, run.codes + i / kCodesPerByte, (rest + kCodesPerByte - 1) / kCodesPerByte);
  Run16<form, output, is_long>(codes, zero, scale, out);
  __builtin_memcpy(run.output + i * kBytes, out, rest * kBytes);
}

template <Form form, Output output>
void Dequantize(const Run& run) {
  run.is_long ? Loop<form, output, true>(run) : Loop<form, output, false>(run);
}

}  // namespace

const Kernels kAvx2Kernels = {"avx2",
                              {{Dequantize<kU8, kBf16>, Dequantize<kU8, kF16>, Dequantize<kU8, kF32>},
                               {Dequantize<kI8, kBf16>, Dequantize<kI8, kF16>, Dequantize<kI8, kF32>},
                               {Dequantize<kU4, kBf16>, Dequantize<kU4, kF16>, Dequantize<kU4, kF32>}}};

}  // namespace entrofs::view
