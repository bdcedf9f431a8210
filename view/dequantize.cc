#include "view/dequantize.h"

#include <algorithm>
#include <cstring>

#include "view/code_matrix.h"
#include "view/float_bits.h"
#include "view/kernels/kernels.h"

namespace entrofs::view {
namespace {

using archive::CodeForm;
using archive::CodeMatrix;
using archive::DerivedExtent;
using archive::FloatType;

ElementRange ElementsOf(const DerivedExtent& derived, uint64_t offset_bytes, uint64_t length_bytes) {
  const uint64_t bytes = archive::FloatBytes(derived.output), columns = derived.matrix.columns;
  const uint64_t first = offset_bytes / bytes, last = (offset_bytes + length_bytes - 1) / bytes;
  return {first / columns, first % columns, last / columns, last % columns};
}

FloatFormat FormatOf(FloatType type) {
  return type == FloatType::kBf16 ? kBf16Format : type == FloatType::kF16 ? kF16Format : kF32Format;
}

class Dequantizer {
 public:
  Dequantizer(const DerivedExtent& derived, std::span<const InputRange> ranges, std::span<const ByteSpan> inputs)
      : matrix_(derived.matrix),
        output_(derived.output),
        parameters_(derived.matrix, ranges, inputs),
        call_(static_cast<unsigned>(derived.matrix.code_form), static_cast<unsigned>(derived.output)) {}

  // Writes `count` whole numbers from element `first` on to `out`.
  void Write(uint64_t first, uint64_t count, uint8_t* out) const {
    uint64_t row = first / matrix_.columns, column = first % matrix_.columns;
    while (count > 0) {
      const uint64_t in_row = std::min(count, matrix_.columns - column);
      WriteRow(row, column, in_row, out);
      out += in_row * archive::FloatBytes(output_);
      count -= in_row;
      column = 0;
      ++row;
    }
  }

 private:
  void WriteRow(uint64_t row, uint64_t column, uint64_t count, uint8_t* out) const {
    Parameters::Place place = parameters_.PlaceOf(row, column);
    uint64_t left_of_scale = (place.column + 1) * matrix_.columns_per_scale - column;
    for (;;) {
      const uint64_t take = std::min(count, left_of_scale);
      WriteRun(row, column, take, place, out);
      count -= take;
      if (count == 0) return;
      column += take;
      out += take * archive::FloatBytes(output_);
      place = Parameters::Next(place);
      left_of_scale = matrix_.columns_per_scale;
    }
  }

  // Numbers that share a scale.
  void WriteRun(uint64_t row, uint64_t column, uint64_t count, const Parameters::Place& place, uint8_t* out) const {
    Run run = {.codes = parameters_.CodeAt(row, column),
               .count = count,
               .zero = parameters_.ZeroAt(place),
               .scale = parameters_.ScaleBits(place),
               .is_long = matrix_.scale_type == FloatType::kF32,
               .output = out};
    if (parameters_.has_column_scales()) {
      for (uint64_t i = 0; i < count; ++i)
        WriteScaledTwice(row, column + i, run, out + i * archive::FloatBytes(output_));
      return;
    }
    if (matrix_.code_form != CodeForm::kU4 || column % 2 == 0) return call_(run);
    // Kernels begin with a low half.
    const uint8_t code = *run.codes >> 4;
    Run single = run;
    single.codes = &code;
    single.count = 1;
    call_(single);
    if (count == 1) return;
    run.codes += 1;
    run.count -= 1;
    run.output += archive::FloatBytes(output_);
    call_(run);
  }

  void WriteScaledTwice(uint64_t row, uint64_t column, const Run& run, uint8_t* out) const {
    const uint8_t byte = *parameters_.CodeAt(row, column);
    int code = byte;
    if (matrix_.code_form == CodeForm::kI8) code = static_cast<int8_t>(byte);
    if (matrix_.code_form == CodeForm::kU4) code = column % 2 == 0 ? byte & 15 : byte >> 4;
    const double once = static_cast<double>(code - run.zero) * WidenFloat(kF32Format, run.scale);
    const uint32_t bits = RoundToFloat(FormatOf(output_), once * parameters_.ColumnScale(column));
    std::memcpy(out, &bits, archive::FloatBytes(output_));
  }

  const CodeMatrix& matrix_;
  const FloatType output_;
  const Parameters parameters_;
  const DequantizeCall call_;
};

}  // namespace

std::vector<InputRange> DequantizeInputs(const DerivedExtent& derived, uint64_t offset_bytes, uint64_t length_bytes) {
  return MatrixInputs(derived.matrix, ElementsOf(derived, offset_bytes, length_bytes), false);
}

void DequantizeRange(const DerivedExtent& derived, uint64_t offset_bytes, std::span<const ByteSpan> inputs,
                     MutableByteSpan out) {
  const std::vector<InputRange> ranges = DequantizeInputs(derived, offset_bytes, out.size());
  const Dequantizer dequantizer(derived, ranges, inputs);
  const uint64_t bytes = archive::FloatBytes(derived.output);
  uint8_t number[4];
  // A range may begin and end within a number.
  if (const uint64_t skip = offset_bytes % bytes; skip != 0) {
    const size_t take = std::min<size_t>(bytes - skip, out.size());
    dequantizer.Write(offset_bytes / bytes, 1, number);
    std::memcpy(out.data(), number + skip, take);
    out = out.subspan(take);
    offset_bytes += take;
  }
  const uint64_t whole = out.size() / bytes;
  if (whole > 0) dequantizer.Write(offset_bytes / bytes, whole, out.data());
  if (const size_t rest = out.size() % bytes; rest != 0) {
    dequantizer.Write(offset_bytes / bytes + whole, 1, number);
    std::memcpy(out.data() + whole * bytes, number, rest);
  }
}

}  // namespace entrofs::view
