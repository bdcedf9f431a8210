#pragma once

#include <immintrin.h>

#include "codec/kernels/trellis_path.h"

// DivideByPath in one instruction, for kernels of CPUs that have PCLMUL.
namespace entrofs::codec {
namespace {

inline uint64_t DivideByMultiplying(uint64_t x) {
  constexpr uint64_t kInverse = DivideByPath(1);
  const __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<int64_t>(x)),
                                               _mm_cvtsi64_si128(static_cast<int64_t>(kInverse)), 0);
  return static_cast<uint64_t>(_mm_cvtsi128_si64(product));
}

}  // namespace
}  // namespace entrofs::codec
