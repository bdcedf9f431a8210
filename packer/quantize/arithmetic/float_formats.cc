#include "packer/quantize/arithmetic/float_formats.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "base/bytes.h"
#include "packer/quantize/arithmetic/vector_clones.h"

namespace entrofs::packer::quantize::arithmetic {
namespace {

constexpr uint32_t kSign = 0x80000000u;
constexpr uint32_t kInfinity = 0x7f800000u;
// Below this magnitude F16 is subnormal: a fixed grid of 2^-24.
constexpr uint32_t kSmallestNormalF16 = 0x38800000u;  // 2^-14
constexpr uint32_t kOverflowF16 = 0x47800000u;        // 65536

float Bf16ToFloat(uint16_t code) { return std::bit_cast<float>(static_cast<uint32_t>(code) << 16); }

float F16ToFloat(uint16_t code) {
  uint32_t magnitude = static_cast<uint32_t>(code & 0x7fff) << 13;
  // The exponent is rebased by a multiplication, which also normalizes subnormal numbers; it is exact.
  float scaled = std::bit_cast<float>(magnitude) * 0x1p112f;
  uint32_t bits = std::bit_cast<uint32_t>(scaled);
  bits = magnitude >= 0x0f800000u ? (magnitude | kInfinity) : bits;
  return std::bit_cast<float>(bits | (static_cast<uint32_t>(code & 0x8000) << 16));
}

// Rounds away the low `drop` bits of a finite or infinite float; a NaN stays one.
template <int drop>
float RoundMantissa(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint32_t rounded = (bits + ((1u << (drop - 1)) - 1) + ((bits >> drop) & 1)) & ~((1u << drop) - 1);
  return (bits & ~kSign) > kInfinity ? value : std::bit_cast<float>(rounded);
}

float RoundToF16(float value) {
  uint32_t sign = std::bit_cast<uint32_t>(value) & kSign;
  float magnitude = std::bit_cast<float>(std::bit_cast<uint32_t>(value) & ~kSign);
  float normal = RoundMantissa<13>(magnitude);
  float subnormal = (magnitude + 0.5f) - 0.5f;  // 0.5 has a last place of 2^-24
  uint32_t bits = std::bit_cast<uint32_t>(normal);
  bits = bits >= kOverflowF16 && bits <= kInfinity ? kInfinity : bits;
  bits = std::bit_cast<uint32_t>(magnitude) < kSmallestNormalF16 ? std::bit_cast<uint32_t>(subnormal) : bits;
  return std::bit_cast<float>(bits | sign);
}

}  // namespace

bool IsQuantizable(source::Dtype dtype) {
  return dtype == source::Dtype::kBf16 || dtype == source::Dtype::kF16 || dtype == source::Dtype::kF32;
}

ENTROFS_VECTOR_CLONES void DecodeFloats(source::Dtype dtype, const uint8_t* encoded, size_t count, float* out) {
  switch (dtype) {
    case source::Dtype::kBf16:
      for (size_t i = 0; i < count; ++i) out[i] = Bf16ToFloat(LoadLe<uint16_t>(encoded + 2 * i));
      return;
    case source::Dtype::kF16:
      for (size_t i = 0; i < count; ++i) out[i] = F16ToFloat(LoadLe<uint16_t>(encoded + 2 * i));
      return;
    default:
      assert(dtype == source::Dtype::kF32);
      std::memcpy(out, encoded, count * sizeof(float));
  }
}

ENTROFS_VECTOR_CLONES void RoundFloats(source::Dtype dtype, float* values, size_t count) {
  if (dtype == source::Dtype::kBf16) {
    for (size_t i = 0; i < count; ++i) values[i] = RoundMantissa<16>(values[i]);
  } else if (dtype == source::Dtype::kF16) {
    for (size_t i = 0; i < count; ++i) values[i] = RoundToF16(values[i]);
  }
}

float RoundFloat(source::Dtype dtype, float value) {
  RoundFloats(dtype, &value, 1);
  return value;
}

float SmallestPositive(source::Dtype dtype) {
  switch (dtype) {
    case source::Dtype::kBf16:
      return Bf16ToFloat(1);
    case source::Dtype::kF16:
      return F16ToFloat(1);
    default:
      return std::bit_cast<float>(1u);
  }
}

void EncodeFloat(source::Dtype dtype, float value, uint8_t* out) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if (dtype == source::Dtype::kF32) return StoreLe(out, bits);
  if (dtype == source::Dtype::kBf16) return StoreLe(out, static_cast<uint16_t>(bits >> 16));
  assert(dtype == source::Dtype::kF16);
  uint32_t magnitude = bits & ~kSign;
  uint32_t code;
  if (magnitude >= kInfinity) {
    code = magnitude == kInfinity ? 0x7c00 : 0x7e00;
  } else if (magnitude < kSmallestNormalF16) {
    code = static_cast<uint32_t>(std::bit_cast<float>(magnitude) * 0x1p24f);
  } else {
    code = (magnitude - 0x38000000u) >> 13;
  }
  StoreLe(out, static_cast<uint16_t>(code | ((bits & kSign) >> 16)));
}

}  // namespace entrofs::packer::quantize::arithmetic
