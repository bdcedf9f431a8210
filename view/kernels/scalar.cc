// The reference: exact products in binary64, rounded once by integer arithmetic; where a product in binary32 is exact
// or what is wanted, that instead.

#include "view/float_bits.h"
#include "view/kernels/kernels.h"

namespace entrofs::view {
namespace {

enum Form { kU8, kI8, kU4 };

template <Form form>
int CodeAt(const uint8_t* codes, size_t i) {
  if constexpr (form == kU8) return codes[i];
  if constexpr (form == kI8) return static_cast<int8_t>(codes[i]);
  return i % 2 == 0 ? codes[i / 2] & 15 : codes[i / 2] >> 4;
}

constexpr FloatFormat kFormats[kOutputs] = {kBf16Format, kF16Format, kF32Format};

template <unsigned output>
void Store(uint8_t* at, uint32_t bits) {
  memcpy(at, &bits, output == 2 ? 4 : 2);
}

// In binary32, where that rounds no more than the output does.
template <Form form, unsigned output>
void Multiply(const Run& run) {
  constexpr size_t kBytes = output == 2 ? 4 : 2;
  float scale;
  memcpy(&scale, &run.scale, sizeof scale);
  for (size_t i = 0; i < run.count; ++i) {
    const float value = static_cast<float>(CodeAt<form>(run.codes, i) - run.zero) * scale;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (output == 0) bits = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    Store<output>(run.output + i * kBytes, bits);
  }
}

// Long runs look results up: there are few different codes.
template <Form form, unsigned output>
void Dequantize(const Run& run) {
  constexpr int kCodes = form == kU4 ? 16 : 256, kFirst = form == kI8 ? -128 : 0;
  constexpr size_t kBytes = output == 2 ? 4 : 2;
  constexpr uint32_t kInfinity = 0x7f800000;
  const bool is_finite = (run.scale & kInfinity) != kInfinity;
  if (is_finite && (output == 2 || (output == 0 && !run.is_long))) return Multiply<form, output>(run);
  const double scale = WidenFloat(kF32Format, run.scale);
  auto value_of = [&](int code) {
    return RoundToFloat(kFormats[output], static_cast<double>(code - run.zero) * scale);
  };
  if (run.count <= 2 * kCodes) {
    for (size_t i = 0; i < run.count; ++i) Store<output>(run.output + i * kBytes, value_of(CodeAt<form>(run.codes, i)));
    return;
  }
  uint32_t values[kCodes];
  for (int code = 0; code < kCodes; ++code) values[code] = value_of(code + kFirst);
  for (size_t i = 0; i < run.count; ++i) {
    Store<output>(run.output + i * kBytes, values[CodeAt<form>(run.codes, i) - kFirst]);
  }
}

}  // namespace

const Kernels kScalarKernels = {"scalar",
                                {{Dequantize<kU8, 0>, Dequantize<kU8, 1>, Dequantize<kU8, 2>},
                                 {Dequantize<kI8, 0>, Dequantize<kI8, 1>, Dequantize<kI8, 2>},
                                 {Dequantize<kU4, 0>, Dequantize<kU4, 1>, Dequantize<kU4, 2>}}};

}  // namespace entrofs::view
