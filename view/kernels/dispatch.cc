// Chooses the kernel set that goes with the codec's and calls it under the arithmetic that IEEE 754 has by default.

#include <string_view>

#include "codec/codec.h"
#include "view/kernels/kernels.h"

#ifdef ENTROFS_X86_KERNELS
#include <immintrin.h>
#endif

namespace entrofs::view {
namespace {

// Denormal numbers kept, rounding to nearest-even and no traps, until the end of its life.
class DefaultArithmetic {
 public:
#if defined(ENTROFS_X86_KERNELS)
  DefaultArithmetic() : saved_(_mm_getcsr()) {
    if ((saved_ & ~kFlags) != kDefault) _mm_setcsr(kDefault);
  }
  ~DefaultArithmetic() {
    if ((saved_ & ~kFlags) != kDefault) _mm_setcsr(saved_);
  }

 private:
  static constexpr unsigned kFlags = 0x3f, kDefault = 0x1f80;
  const unsigned saved_;
#elif defined(ENTROFS_NEON_KERNELS)
  DefaultArithmetic() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
    if (saved_ != 0) Set(0);
  }
  ~DefaultArithmetic() {
    if (saved_ != 0) Set(saved_);
  }

 private:
  static void Set(uint64_t value) { __asm__ volatile("msr fpcr, %0" : : "r"(value)); }
  uint64_t saved_;
#else
  DefaultArithmetic() {}
#endif

 public:
  DefaultArithmetic(const DefaultArithmetic&) = delete;
  DefaultArithmetic& operator=(const DefaultArithmetic&) = delete;
};

}  // namespace

const Kernels& Active() {
  const std::string_view name = codec::ActiveKernels();
#ifdef ENTROFS_X86_KERNELS
  static const bool has_avx2 = __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  if (name == kAvx512Kernels.name) return kAvx512Kernels;
  if (name == kAvx2Kernels.name && has_avx2) return kAvx2Kernels;
#endif
#ifdef ENTROFS_NEON_KERNELS
  if (name == kNeonKernels.name) return kNeonKernels;
#endif
  return kScalarKernels;
}

void DequantizeRun(unsigned code_form, unsigned output, const Run& run) {
  DefaultArithmetic arithmetic;
  constexpr uint32_t kInfinity = 0x7f800000;
  const bool is_finite = (run.scale & kInfinity) != kInfinity;
  (is_finite ? Active() : kScalarKernels).dequantize[code_form][output](run);
}

}  // namespace entrofs::view
