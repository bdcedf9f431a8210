#include "tests/packer/quantize/reference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "base/bytes.h"

namespace entrofs::packer::quantize::reference {
namespace {

struct Format {
  int exponent_bits;
  int mantissa_bits;
  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
};

Format FormatOf(source::Dtype dtype) {
  if (dtype == source::Dtype::kBf16) return {8, 7};
  if (dtype == source::Dtype::kF16) return {5, 10};
  return {8, 23};
}

uint32_t CodeAt(const std::vector<uint8_t>& bytes, size_t i, size_t width) {
  uint32_t code = 0;
  for (size_t k = 0; k < width; ++k) code |= static_cast<uint32_t>(bytes[i * width + k]) << (8 * k);
  return code;
}

// Entry (row, column) of a matrix packed along its columns into words of 32 bits.
int Unpack(const std::vector<uint8_t>& bytes, uint64_t words_per_row, uint64_t row, uint64_t column, int bits) {
  uint64_t per_word = 32 / static_cast<uint64_t>(bits);
  uint32_t word = CodeAt(bytes, row * words_per_row + column / per_word, 4);
  int code = static_cast<int>(word >> (column % per_word * static_cast<uint64_t>(bits))) & ((1 << bits) - 1);
  return code - (1 << (bits - 1));
}

const tree::OutputTensor& Find(const std::vector<tree::OutputTensor>& outputs, const std::string& suffix) {
  for (const tree::OutputTensor& output : outputs) {
    if (output.name.ends_with(suffix)) return output;
  }
  ADD_FAILURE() << "no tensor ends in " << suffix;
  return outputs.front();
}

struct Parameters {
  double scale;
  double zero_point;
  double low;
  double high;
};

// Division and its rounding happen in single precision, as documented.
double Divide(double a, double b) { return static_cast<float>(a) / static_cast<float>(b); }

Parameters FitTo(const std::vector<double>& weights, const Options& options, source::Dtype dtype) {
  double low = std::min(0.0, *std::min_element(weights.begin(), weights.end()));
  double high = std::max(0.0, *std::max_element(weights.begin(), weights.end()));
  bool symmetric = options.scheme == Scheme::kInt8Tensor || options.scheme == Scheme::kInt8Channel ||
                   (options.scheme == Scheme::kUint4Group && options.symmetric);
  int bits = options.scheme == Scheme::kUint4 || options.scheme == Scheme::kUint4Group ? 4 : 8;
  int half = 1 << (bits - 1);
  if (symmetric) {
    double steps = bits == 8 ? 127 : 7.5;
    double largest = std::max(-low, high);
    double scale = largest == 0 ? 1 : Round(dtype, static_cast<float>(largest / steps));
    return {scale, 0, bits == 8 ? -127.0 : -8.0, half - 1.0};
  }
  double scale = high == low ? 1 : Round(dtype, static_cast<float>((high - low) / (2 * half - 1)));
  double zero_point = std::clamp(std::nearbyint(Divide(-low, scale)), 0.0, 2 * half - 1.0);
  return {scale, zero_point, 0, 2 * half - 1.0};
}

}  // namespace

double Decode(source::Dtype dtype, uint32_t code) {
  Format format = FormatOf(dtype);
  uint32_t mantissa = code & ((1u << format.mantissa_bits) - 1);
  int exponent = static_cast<int>(code >> format.mantissa_bits) & ((1 << format.exponent_bits) - 1);
  double sign = (code >> (format.mantissa_bits + format.exponent_bits)) & 1 ? -1 : 1;
  if (exponent == (1 << format.exponent_bits) - 1) return mantissa == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - format.bias() - format.mantissa_bits);
  return sign *
         std::ldexp(mantissa + std::ldexp(1, format.mantissa_bits), exponent - format.bias() - format.mantissa_bits);
}

double Round(source::Dtype dtype, double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  Format format = FormatOf(dtype);
  int exponent = std::max(std::ilogb(value), 1 - format.bias());
  double place = std::ldexp(1, exponent - format.mantissa_bits);
  double rounded = std::nearbyint(value / place) * place;
  double largest = std::ldexp(2 - std::ldexp(1, -format.mantissa_bits), format.bias());
  return std::abs(rounded) > largest ? std::copysign(INFINITY, value) : rounded;
}

std::vector<uint8_t> ReadAll(const tree::OutputTensor& tensor) {
  std::vector<uint8_t> bytes(tensor.bytes->size());
  Status status = tensor.bytes->ReadAt(0, bytes);
  EXPECT_TRUE(status.ok()) << tensor.name;
  EXPECT_EQ(bytes.size(), source::ElementCount(tensor.shape).value() * source::BitWidth(tensor.dtype) / 8)
      << tensor.name;
  return bytes;
}

std::vector<double> Floats(const tree::OutputTensor& tensor) {
  std::vector<uint8_t> bytes = ReadAll(tensor);
  size_t width = source::BitWidth(tensor.dtype) / 8;
  std::vector<double> values(bytes.size() / width);
  for (size_t i = 0; i < values.size(); ++i) values[i] = Decode(tensor.dtype, CodeAt(bytes, i, width));
  return values;
}

tree::OutputTensor MatrixOf(const std::string& name, source::Dtype dtype, std::vector<uint64_t> shape,
                            const std::vector<uint32_t>& codes) {
  size_t width = source::BitWidth(dtype) / 8;
  std::vector<uint8_t> bytes;
  for (uint32_t code : codes) {
    for (size_t k = 0; k < width; ++k) bytes.push_back(static_cast<uint8_t>(code >> (8 * k)));
  }
  tree::OutputTensor tensor;
  tensor.name = tensor.belongs_to = name;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  tensor.weight_count = codes.size();
  tensor.bytes = tree::BytesInMemory(std::move(bytes));
  return tensor;
}

tree::OutputTensor RandomMatrix(const std::string& name, source::Dtype dtype, uint64_t rows, uint64_t columns, int sign,
                                uint32_t seed) {
  Format format = FormatOf(dtype);
  std::mt19937 random(seed);
  std::vector<uint32_t> codes;
  for (uint64_t i = 0; i < rows * columns; ++i) {
    // Exponents fall off below 2^-4; one weight in 64 is an outlier of up to 2^2.
    uint32_t draw = static_cast<uint32_t>(random());
    int down = std::min(__builtin_ctz(draw | 0x100), 8);
    uint32_t exponent = static_cast<uint32_t>(format.bias() - (random() % 64 == 0 ? -1 : 5 + down));
    uint32_t negative = sign == 0 ? (draw >> 9) & 1 : sign < 0;
    uint32_t mantissa = static_cast<uint32_t>(random()) & ((1u << format.mantissa_bits) - 1);
    uint32_t code =
        negative << (format.exponent_bits + format.mantissa_bits) | exponent << format.mantissa_bits | mantissa;
    codes.push_back(random() % 50 == 0 ? 0 : code);
  }
  return MatrixOf(name, dtype, {rows, columns}, codes);
}

std::vector<double> Dense(const std::vector<tree::OutputTensor>& outputs, const forms::Form& form) {
  const bool packed = form.format == forms::Form::Format::kPacked;
  const tree::OutputTensor& scales = Find(outputs, "weight_scale");
  const std::vector<double> scale = Floats(scales);
  uint64_t rows = outputs[0].shape[0], columns = outputs[0].shape[1];
  if (packed) {
    std::vector<uint8_t> shape = ReadAll(Find(outputs, "weight_shape"));
    rows = LoadLe<uint64_t>(shape.data());
    columns = LoadLe<uint64_t>(shape.data() + 8);
    EXPECT_EQ(scales.shape[0], rows);
  }
  const std::vector<uint8_t> codes = ReadAll(Find(outputs, packed ? "weight_packed" : ".weight"));
  std::vector<uint8_t> zero_points;
  if (!form.symmetric) zero_points = ReadAll(Find(outputs, "weight_zero_point"));
  const uint64_t per_row = packed ? scales.shape[1] : 1;
  std::vector<double> dense;
  for (uint64_t i = 0; i < rows; ++i) {
    for (uint64_t j = 0; j < columns; ++j) {
      uint64_t group = packed ? j / (columns / per_row) : 0;
      int code, zero_point = 0;
      if (packed) {
        code = Unpack(codes, outputs[0].shape[1], i, j, form.bits);
        if (!form.symmetric) {  // packed down the columns
          uint64_t per_word = 32 / static_cast<uint64_t>(form.bits);
          uint32_t word = CodeAt(zero_points, i / per_word * per_row + group, 4);
          int shift = static_cast<int>(i % per_word) * form.bits;
          zero_point = (static_cast<int>(word >> shift) & ((1 << form.bits) - 1)) - (1 << (form.bits - 1));
        }
      } else {
        code = static_cast<int8_t>(codes[i * columns + j]);
        zero_point = static_cast<int8_t>(zero_points[0]);
      }
      dense.push_back(Round(scales.dtype, (code - zero_point) * scale[packed ? i * per_row + group : 0]));
    }
  }
  return dense;
}

std::vector<double> QuantizedDense(const std::vector<double>& weights, uint64_t columns, source::Dtype dtype,
                                   const Options& options) {
  size_t run = weights.size();
  if (options.scheme == Scheme::kInt8Channel) run = columns;
  if (options.scheme == Scheme::kUint4Group) run = columns % options.group_size == 0 ? options.group_size : columns;
  std::vector<double> dense;
  for (size_t begin = 0; begin < weights.size(); begin += run) {
    std::vector<double> part(weights.begin() + static_cast<ptrdiff_t>(begin),
                             weights.begin() + static_cast<ptrdiff_t>(begin + run));
    Parameters p = FitTo(part, options, dtype);
    for (double weight : part) {
      double steps = std::clamp(std::nearbyint(std::clamp(Divide(weight, p.scale), -1e6, 1e6)), p.low - p.zero_point,
                                p.high - p.zero_point);
      dense.push_back(Round(dtype, steps * p.scale));
    }
  }
  return dense;
}

}  // namespace entrofs::packer::quantize::reference
