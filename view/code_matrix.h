#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "archive/views.h"
#include "view/derived.h"

// Where the codes and parameters of a matrix are. Internal to view/.
namespace entrofs::view {

// The first and the last element of a range, in the order of rows.
struct ElementRange {
  uint64_t first_row, first_column;
  uint64_t last_row, last_column;  // inclusive
};

// Bytes of a row that hold the codes up to and including `column`.
inline uint64_t CodeBytes(const archive::CodeMatrix& matrix, uint64_t column) {
  return (matrix.code_form == archive::CodeForm::kU4 ? column / 2 : column) + 1;
}

// What those elements need: codes, scales, zero points (where they have an extent, or minimums with `zeros_are_floats`)
// and column scales (where there are some), in this order.
std::vector<InputRange> MatrixInputs(const archive::CodeMatrix& matrix, const ElementRange& elements,
                                     bool zeros_are_floats);

// The bits of a float32 of the same value.
uint32_t WidenToF32(archive::FloatType type, const uint8_t* at);

// Scales and zero points by row and column, from the ranges that MatrixInputs says. Requires: `inputs` outlives this.
class Parameters {
 public:
  Parameters(const archive::CodeMatrix& matrix, std::span<const InputRange> ranges, std::span<const ByteSpan> inputs);

  // The byte that holds the code.
  const uint8_t* CodeAt(uint64_t row, uint64_t column) const {
    return inputs_[0].data() + (row * matrix_.row_bytes + CodeBytes(matrix_, column) - 1 - ranges_[0].offset_bytes);
  }
  // The scale that a number has, its row among the scales and its column there.
  struct Place {
    uint64_t row, column, number;
  };
  Place PlaceOf(uint64_t row, uint64_t column) const {
    const uint64_t scale_row = row / matrix_.rows_per_scale, scale_column = column / matrix_.columns_per_scale;
    return {scale_row, scale_column, scale_row * scale_columns_ + scale_column};
  }
  // The next scale of the same row.
  static Place Next(const Place& place) { return {place.row, place.column + 1, place.number + 1}; }

  // Widened to a float32's bits. (This and ZeroAt are called for every few codes.)
  uint32_t ScaleBits(const Place& place) const {
    if (matrix_.scale_type == archive::FloatType::kBf16) return uint32_t{LoadLe<uint16_t>(ScaleAt(place))} << 16;
    return WidenToF32(matrix_.scale_type, ScaleAt(place));
  }
  // As stored.
  const uint8_t* ScaleAt(const Place& place) const {
    return inputs_[1].data() + (place.number * archive::FloatBytes(matrix_.scale_type) - ranges_[1].offset_bytes);
  }
  const uint8_t* MinimumAt(const Place& place) const;
  int32_t ZeroAt(const Place& place) const {
    return matrix_.zero_form == archive::ZeroForm::kConstant ? matrix_.zero : StoredZeroAt(place);
  }
  double ColumnScale(uint64_t column) const;
  bool has_column_scales() const { return matrix_.column_scales != archive::kNoExtent; }

 private:
  int32_t StoredZeroAt(const Place& place) const;

  const archive::CodeMatrix& matrix_;
  const std::span<const InputRange> ranges_;
  const std::span<const ByteSpan> inputs_;
  const uint64_t scale_columns_;
};

}  // namespace entrofs::view
