// Chooses the kernel set that goes with the codec's and calls it under the arithmetic that IEEE 754 has by default.

#include <string_view>

#include "codec/codec.h"
#include "view/kernels/kernels.h"

#ifdef ENTROFS_X86_KERNELS
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace entrofs::view {
namespace {

// What a thread has set for floating-point arithmetic, and the default: denormal numbers kept, rounding to
// nearest-even, no traps.
#if defined(ENTROFS_X86_KERNELS)
constexpr uint64_t kDefaultArithmetic = 0x1f80;
uint64_t GetArithmetic() { return _mm_getcsr() & ~0x3fu; }
void SetArithmetic(uint64_t value) { _mm_setcsr(static_cast<unsigned>(value)); }
#elif defined(ENTROFS_NEON_KERNELS)
constexpr uint64_t kDefaultArithmetic = 0;
uint64_t GetArithmetic() {
  uint64_t value;
  __asm__ volatile("mrs %0, fpcr" : "=r"(value));
  return value;
}
void SetArithmetic(uint64_t value) { __asm__ volatile("msr fpcr, %0" : : "r"(value)); }
#else
constexpr uint64_t kDefaultArithmetic = 0;
uint64_t GetArithmetic() { return kDefaultArithmetic; }
void SetArithmetic(uint64_t) {}
#endif

#ifdef ENTROFS_X86_KERNELS
// (Clang's __builtin_cpu_supports does not know F16C.)
bool CpuHasFmaAndF16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_FMA) != 0 && (c & bit_F16C) != 0;
}
#endif

}  // namespace

const Kernels& Active() {
  const std::string_view name = codec::ActiveKernels();
#ifdef ENTROFS_X86_KERNELS
  static const bool has_all_of_avx2 = CpuHasFmaAndF16c();
  if (name == kAvx512Kernels.name) return kAvx512Kernels;
  if (name == kAvx2Kernels.name && has_all_of_avx2) return kAvx2Kernels;
#endif
#ifdef ENTROFS_NEON_KERNELS
  if (name == kNeonKernels.name) return kNeonKernels;
#endif
  return kScalarKernels;
}

DequantizeCall::DequantizeCall(unsigned code_form, unsigned output)
    : function_(Active().dequantize[code_form][output]),
      for_no_numbers_(kScalarKernels.dequantize[code_form][output]),
      saved_(GetArithmetic()) {
  if (saved_ != kDefaultArithmetic) SetArithmetic(kDefaultArithmetic);
}

DequantizeCall::~DequantizeCall() {
  if (saved_ != kDefaultArithmetic) SetArithmetic(saved_);
}

}  // namespace entrofs::view
