// The reference: exact products in binary64, rounded once by integer arithmetic.

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

// Long runs look results up: there are few different codes.
template <Form form, unsigned output>
void Dequantize(const Run& run) {
  constexpr int kCodes = form == kU4 ? 16 : 256, kFirst = form == kI8 ? -128 : 0;
  constexpr size_t kBytes = output == 2 ? 4 : 2;
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
