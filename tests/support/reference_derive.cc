#include "tests/support/reference_derive.h"

#include <cmath>

namespace entrofs::testing_support {
namespace {

using archive::BlockType;
using archive::CodeForm;
using archive::CodeMatrix;
using archive::FloatType;
using archive::ZeroForm;

struct Format {
  int mantissa_bits, least_exponent, most_exponent;
};

Format FormatOf(FloatType type) {
  if (type == FloatType::kF16) return {10, -14, 15};
  return {type == FloatType::kBf16 ? 7 : 23, -126, 127};
}

int CodeAt(const CodeMatrix& m, const Bytes& codes, uint64_t row, uint64_t column) {
  if (m.code_form == CodeForm::kU4) {
    const uint8_t byte = codes[row * m.row_bytes + column / 2];
    return column % 2 == 0 ? byte & 15 : byte >> 4;
  }
  const uint8_t byte = codes[row * m.row_bytes + column];
  return m.code_form == CodeForm::kI8 && byte > 127 ? byte - 256 : byte;
}

uint32_t FloatBitsAt(FloatType type, const Bytes& bytes, uint64_t number) {
  if (type == FloatType::kF32) return LoadLe<uint32_t>(bytes.data() + 4 * number);
  return LoadLe<uint16_t>(bytes.data() + 2 * number);
}

int ZeroAt(const CodeMatrix& m, const Bytes& zeros, uint64_t row, uint64_t column) {
  const uint64_t scale_row = row / m.rows_per_scale, group = column / m.columns_per_scale;
  switch (m.zero_form) {
    case ZeroForm::kConstant:
      return m.zero;
    case ZeroForm::kBytes: {
      const uint8_t byte = zeros[scale_row * m.ScaleColumns() + group];
      return m.code_form == CodeForm::kI8 && byte > 127 ? byte - 256 : byte;
    }
    case ZeroForm::kU8DownRows: {
      const uint32_t word = LoadLe<uint32_t>(zeros.data() + 4 * (scale_row / 4 * m.ScaleColumns() + group));
      return static_cast<int>(word >> (8 * (scale_row % 4)) & 255);
    }
    case ZeroForm::kU4DownRows: {
      const uint32_t word = LoadLe<uint32_t>(zeros.data() + 4 * (scale_row / 8 * m.ScaleColumns() + group));
      return static_cast<int>(word >> (4 * (scale_row % 8)) & 15);
    }
  }
  return 0;
}

Bytes Dequantize(const archive::DerivedExtent& derived, const DeriveInputs& inputs) {
  const CodeMatrix& m = derived.matrix;
  Bytes out;
  for (uint64_t row = 0; row < m.rows; ++row) {
    for (uint64_t column = 0; column < m.columns; ++column) {
      const uint64_t number = row / m.rows_per_scale * m.ScaleColumns() + column / m.columns_per_scale;
      long double value = ReferenceFloat(m.scale_type, FloatBitsAt(m.scale_type, inputs.scales, number));
      value *= CodeAt(m, inputs.codes, row, column) - ZeroAt(m, inputs.zeros, row, column);
      if (!inputs.column_scales.empty()) {
        const double once = static_cast<double>(value);
        value = once * static_cast<double>(
                           ReferenceFloat(m.scale_type, FloatBitsAt(m.scale_type, inputs.column_scales, column)));
      }
      const uint32_t bits = ReferenceRound(derived.output, value);
      for (size_t i = 0; i < archive::FloatBytes(derived.output); ++i) out.push_back(bits >> (8 * i) & 255);
    }
  }
  return out;
}

Bytes Interleave(const archive::DerivedExtent& derived, const DeriveInputs& inputs) {
  const CodeMatrix& m = derived.matrix;
  Bytes out;
  auto append_f16 = [&](const Bytes& from, uint64_t row, uint64_t column) {
    const uint64_t number = row / m.rows_per_scale * m.ScaleColumns() + column / m.columns_per_scale;
    out.push_back(from[2 * number]);
    out.push_back(from[2 * number + 1]);
  };
  for (uint64_t row = 0; row < m.rows; ++row) {
    for (uint64_t column = 0; column < m.columns; column += 32) {
      append_f16(inputs.scales, row, column);
      if (derived.block_type == BlockType::kQ8_0) {
        for (int i = 0; i < 32; ++i) {
          out.push_back(static_cast<uint8_t>(CodeAt(m, inputs.codes, row, column + i) - m.zero));
        }
        continue;
      }
      if (derived.block_type == BlockType::kQ4_1) append_f16(inputs.zeros, row, column);
      for (int i = 0; i < 16; ++i) {
        const int low = CodeAt(m, inputs.codes, row, column + i) & 15;
        const int high = CodeAt(m, inputs.codes, row, column + 16 + i) & 15;
        out.push_back(static_cast<uint8_t>(low + 16 * high));
      }
    }
  }
  return out;
}

}  // namespace

long double ReferenceFloat(FloatType type, uint32_t bits) {
  const Format format = FormatOf(type);
  const int exponent_bits = type == FloatType::kF16 ? 5 : 8;
  const bool negative = (bits >> (format.mantissa_bits + exponent_bits) & 1) != 0;
  const int exponent = static_cast<int>(bits >> format.mantissa_bits & ((1u << exponent_bits) - 1));
  const long double mantissa = bits & ((1u << format.mantissa_bits) - 1);
  long double value;
  if (exponent == (1 << exponent_bits) - 1) {
    value = mantissa == 0 ? INFINITY : NAN;
  } else if (exponent == 0) {
    value = std::ldexp(mantissa, format.least_exponent - format.mantissa_bits);
  } else {
    value = std::ldexp(mantissa + std::ldexp(1.0L, format.mantissa_bits),
                       exponent - 1 + format.least_exponent - format.mantissa_bits);
  }
  return negative ? -value : value;
}

uint32_t ReferenceRound(FloatType type, long double value) {
  const Format format = FormatOf(type);
  const uint32_t infinity = static_cast<uint32_t>(format.most_exponent - format.least_exponent + 2)
                            << format.mantissa_bits;
  if (std::isnan(value)) return infinity + (1u << (format.mantissa_bits - 1));
  const uint32_t sign = std::signbit(value) ? (type == FloatType::kF32 ? 1u << 31 : 1u << 15) : 0;
  if (std::isinf(value)) return sign + infinity;
  if (value == 0) return sign;
  int exponent = 0;
  std::frexp(value, &exponent);
  // The weight of the last bit kept.
  const int last = std::max(exponent - 1, format.least_exponent) - format.mantissa_bits;
  const auto units = static_cast<uint64_t>(std::fabs(std::nearbyint(std::ldexp(value, -last))));
  // In units of the last bit, numbers of one exponent follow those of the one before.
  const uint64_t bits =
      units + (static_cast<uint64_t>(last + format.mantissa_bits - format.least_exponent) << format.mantissa_bits);
  return sign + static_cast<uint32_t>(std::min<uint64_t>(bits, infinity));
}

Bytes ReferenceDerive(const archive::DerivedExtent& derived, const DeriveInputs& inputs) {
  switch (derived.function) {
    case archive::Function::kCopy: {
      const auto begin = inputs.input.begin() + static_cast<ptrdiff_t>(derived.offset_bytes);
      return Bytes(begin, begin + static_cast<ptrdiff_t>(derived.plain_bytes));
    }
    case archive::Function::kLiteral:
      return derived.literal;
    case archive::Function::kDequantize:
      return Dequantize(derived, inputs);
    case archive::Function::kFlip: {
      Bytes out = inputs.input;
      for (uint8_t& byte : out) byte = static_cast<uint8_t>(byte ^ derived.mask);
      return out;
    }
    case archive::Function::kInterleave:
      return Interleave(derived, inputs);
  }
  return {};
}

}  // namespace entrofs::testing_support
