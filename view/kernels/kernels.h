#pragma once

#include <stddef.h>
#include <stdint.h>

// The inner loops of dequantization, one set per instruction set. Kernel files are compiled with their own CPU flags,
// so they include only C headers, intrinsics and this file, and keep everything but their one table in an anonymous
// namespace: an inline function compiled for one CPU must not become the copy the whole program uses.
//
// docs/archive-format.md, "Dequantize", specifies what is computed here. All sets give the same bytes.
namespace entrofs::view {

// Indices of Kernels::dequantize; the values of archive::CodeForm and archive::FloatType.
inline constexpr unsigned kCodeForms = 3;
inline constexpr unsigned kOutputs = 3;

// Codes in a row that share a scale.
struct Run {
  const uint8_t* codes;
  size_t count;
  int32_t zero;     // -128..255
  uint32_t scale;   // the bits of a float32, finite
  bool is_long;     // the scale may have more significant bits than a BF16 or F16 number, so that the product of it and
                    // a code may have more than a float32
  uint8_t* output;  // count numbers, little-endian; need not be aligned
};

// output[i] = (code[i] - zero) * scale, rounded once to nearest-even.
// Codes of half a byte begin with the low half of *codes.
using DequantizeFunction = void (*)(const Run& run);

struct Kernels {
  const char* name;  // as codec::ActiveKernels() names its set
  DequantizeFunction dequantize[kCodeForms][kOutputs];
};

extern const Kernels kScalarKernels;  // the reference
extern const Kernels kAvx2Kernels;    // needs AVX2, FMA, F16C
extern const Kernels kAvx512Kernels;  // needs F, BW, DQ, VL, VBMI
extern const Kernels kNeonKernels;    // every aarch64

// The set that goes with the codec's (see codec::SelectKernels), or the scalar one where the CPU lacks something.
const Kernels& Active();

// Calls a function of the active set, with denormal numbers computed as IEEE 754 says and rounding to nearest-even
// whatever the thread has set, which is set again at the end of this object's life. Of one thread.
class DequantizeCall {
 public:
  DequantizeCall(unsigned code_form, unsigned output);
  ~DequantizeCall();
  DequantizeCall(const DequantizeCall&) = delete;
  DequantizeCall& operator=(const DequantizeCall&) = delete;

  // As DequantizeFunction; here the scale may be infinite or a NaN, too.
  void operator()(const Run& run) const {
    constexpr uint32_t kInfinity = 0x7f800000;
    ((run.scale & kInfinity) != kInfinity ? function_ : for_no_numbers_)(run);
  }

 private:
  const DequantizeFunction function_, for_no_numbers_;
  uint64_t saved_ = 0;
};

}  // namespace entrofs::view
