// Four codes at a time: widened, multiplied in binary32, rounded by integer arithmetic.

#include <arm_neon.h>

#include "view/kernels/kernels.h"

namespace entrofs::view {
namespace {

enum Form { kU8, kI8, kU4 };
enum Output { kBf16, kF16, kF32 };

// Codes less the zero point, times the scale. With `is_long` in binary32 rounded to odd: not exact but enough to be
// rounded again.
template <bool is_long>
float32x4_t Multiply(int32x4_t codes, int32x4_t zero, float32x4_t scale) {
  const float32x4_t factor = vcvtq_f32_s32(vsubq_s32(codes, zero));
  const float32x4_t product = vmulq_f32(factor, scale);
  if constexpr (!is_long) return product;
  const float32x4_t rest = vfmaq_f32(vnegq_f32(product), factor, scale);
  const uint32x4_t inexact = vmvnq_u32(vceqq_f32(rest, vdupq_n_f32(0)));
  const uint32x4_t bits = vreinterpretq_u32_f32(product);
  // Where the rest has the other sign, the product is too far from zero.
  const uint32x4_t too_far =
      vreinterpretq_u32_s32(vshrq_n_s32(vreinterpretq_s32_u32(veorq_u32(bits, vreinterpretq_u32_f32(rest))), 31));
  const uint32x4_t nearer = vaddq_u32(bits, vandq_u32(inexact, too_far));
  return vreinterpretq_f32_u32(vorrq_u32(nearer, vandq_u32(inexact, vdupq_n_u32(1))));
}

uint16x4_t RoundToBf16(float32x4_t value) {
  const uint32x4_t bits = vreinterpretq_u32_f32(value);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  return vshrn_n_u32(vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff))), 16);
}

template <Output output, bool is_long>
void Store(int32x4_t codes, int32x4_t zero, float32x4_t scale, uint8_t* at) {
  const float32x4_t value = Multiply < is_long && output != kF32 > (codes, zero, scale);
  if constexpr (output == kF32) vst1q_u8(at, vreinterpretq_u8_f32(value));
  if constexpr (output == kBf16) vst1_u8(at, vreinterpret_u8_u16(RoundToBf16(value)));
  if constexpr (output == kF16) vst1_u8(at, vreinterpret_u8_f16(vcvt_f16_f32(value)));
}

// Eight codes from 4 bytes.
uint8x8_t SplitHalves(const uint8_t* codes) {
  uint32_t word;
  __builtin_memcpy(&word, codes, sizeof word);
  const uint8x8_t bytes = vreinterpret_u8_u32(vdup_n_u32(word));
  return vzip1_u8(vand_u8(bytes, vdup_n_u8(15)), vshr_n_u8(bytes, 4));
}

template <Form form>
int16x8_t Load(const uint8_t* codes) {
  if constexpr (form == kU4) return vreinterpretq_s16_u16(vmovl_u8(SplitHalves(codes)));
  if constexpr (form == kI8) return vmovl_s8(vreinterpret_s8_u8(vld1_u8(codes)));
  return vreinterpretq_s16_u16(vmovl_u8(vld1_u8(codes)));
}

template <Form form, Output output, bool is_long>
void Run8(const uint8_t* codes, int32x4_t zero, float32x4_t scale, uint8_t* out) {
  constexpr size_t kBytes = output == kF32 ? 4 : 2;
  const int16x8_t wide = Load<form>(codes);
  Store<output, is_long>(vmovl_s16(vget_low_s16(wide)), zero, scale, out);
  Store<output, is_long>(vmovl_s16(vget_high_s16(wide)), zero, scale, out + 4 * kBytes);
}

template <Form form, Output output, bool is_long>
void Loop(const Run& run) {
  constexpr size_t kCodes = 8, kBytes = output == kF32 ? 4 : 2, kCodesPerByte = form == kU4 ? 2 : 1;
  const int32x4_t zero = vdupq_n_s32(run.zero);
  const float32x4_t scale = vreinterpretq_f32_u32(vdupq_n_u32(run.scale));
  size_t i = 0;
  for (; i + kCodes <= run.count; i += kCodes) {
    Run8<form, output, is_long>(run.codes + i / kCodesPerByte, zero, scale, run.output + i * kBytes);
  }
  if (i == run.count) return;
  const size_t rest = run.count - i;
  uint8_t codes[kCodes] = {}, out[kCodes * kBytes];
  __builtin_memcpy(codes, run.codes + i / kCodesPerByte, (rest + kCodesPerByte - 1) / kCodesPerByte);
  Run8<form, output, is_long>(codes, zero, scale, out);
  __builtin_memcpy(run.output + i * kBytes, out, rest * kBytes);
}

template <Form form, Output output>
void Dequantize(const Run& run) {
  run.is_long ? Loop<form, output, true>(run) : Loop<form, output, false>(run);
}

}  // namespace

const Kernels kNeonKernels = {"neon",
                              {{Dequantize<kU8, kBf16>, Dequantize<kU8, kF16>, Dequantize<kU8, kF32>},
                               {Dequantize<kI8, kBf16>, Dequantize<kI8, kF16>, Dequantize<kI8, kF32>},
                               {Dequantize<kU4, kBf16>, Dequantize<kU4, kF16>, Dequantize<kU4, kF32>}}};

}  // namespace entrofs::view
