#include "view/code_matrix.h"

#include "view/float_bits.h"

namespace entrofs::view {
namespace {

using archive::CodeMatrix;
using archive::FloatType;
using archive::ZeroForm;

constexpr uint64_t kWordBytes = 4;

uint64_t RowsPerWord(ZeroForm form) { return form == ZeroForm::kU8DownRows ? 4 : 8; }

// The scales of the elements: of one row from the first to the last, of several rows all.
struct ScaleRange {
  uint64_t first_row, last_row, first_column, last_column;  // inclusive
};

ScaleRange ScalesOf(const CodeMatrix& matrix, const ElementRange& elements) {
  ScaleRange scales = {elements.first_row / matrix.rows_per_scale, elements.last_row / matrix.rows_per_scale, 0,
                       matrix.ScaleColumns() - 1};
  if (elements.first_row == elements.last_row) {
    scales.first_column = elements.first_column / matrix.columns_per_scale;
    scales.last_column = elements.last_column / matrix.columns_per_scale;
  }
  return scales;
}

// The range of entries of `bytes` each, `columns` in a row.
InputRange Entries(uint32_t extent, const ScaleRange& range, uint64_t columns, uint64_t bytes) {
  const uint64_t first = range.first_row * columns + range.first_column;
  const uint64_t last = range.last_row * columns + range.last_column;
  return {extent, first * bytes, (last - first + 1) * bytes};
}

}  // namespace

std::vector<InputRange> MatrixInputs(const CodeMatrix& matrix, const ElementRange& elements, bool zeros_are_floats) {
  const uint64_t begin = elements.first_row * matrix.row_bytes + CodeBytes(matrix, elements.first_column) - 1;
  const uint64_t end = elements.last_row * matrix.row_bytes + CodeBytes(matrix, elements.last_column);
  const uint64_t columns = matrix.ScaleColumns(), float_bytes = archive::FloatBytes(matrix.scale_type);
  const ScaleRange scales = ScalesOf(matrix, elements);
  std::vector<InputRange> ranges = {{matrix.codes, begin, end - begin},
                                    Entries(matrix.scales, scales, columns, float_bytes)};
  if (matrix.zeros != archive::kNoExtent) {
    if (zeros_are_floats) {
      ranges.push_back(Entries(matrix.zeros, scales, columns, float_bytes));
    } else if (matrix.zero_form == ZeroForm::kBytes) {
      ranges.push_back(Entries(matrix.zeros, scales, columns, 1));
    } else {
      ScaleRange words = scales;
      words.first_row /= RowsPerWord(matrix.zero_form);
      words.last_row /= RowsPerWord(matrix.zero_form);
      ranges.push_back(Entries(matrix.zeros, words, columns, kWordBytes));
    }
  }
  if (matrix.column_scales != archive::kNoExtent) {
    ScaleRange all = {0, 0, 0, matrix.columns - 1};
    if (elements.first_row == elements.last_row) {
      all.first_column = elements.first_column;
      all.last_column = elements.last_column;
    }
    ranges.push_back(Entries(matrix.column_scales, all, matrix.columns, float_bytes));
  }
  return ranges;
}

Parameters::Parameters(const CodeMatrix& matrix, std::span<const InputRange> ranges, std::span<const ByteSpan> inputs)
    : matrix_(matrix), ranges_(ranges), inputs_(inputs), scale_columns_(matrix.ScaleColumns()) {}

const uint8_t* Parameters::MinimumAt(const Place& place) const {
  return inputs_[2].data() + (place.number * archive::FloatBytes(matrix_.scale_type) - ranges_[2].offset_bytes);
}

int32_t Parameters::StoredZeroAt(const Place& place) const {
  const uint8_t* zeros = inputs_[2].data();
  const uint64_t begin = ranges_[2].offset_bytes;
  if (matrix_.zero_form == ZeroForm::kBytes) {
    const uint8_t byte = zeros[place.number - begin];
    return matrix_.code_form == archive::CodeForm::kI8 ? static_cast<int8_t>(byte) : byte;
  }
  const uint64_t rows_per_word = RowsPerWord(matrix_.zero_form);
  const uint64_t word = place.row / rows_per_word * scale_columns_ + place.column;
  const uint64_t within = place.row % rows_per_word;
  const uint8_t* at = zeros + (word * kWordBytes - begin);
  if (matrix_.zero_form == ZeroForm::kU8DownRows) return at[within];
  return within % 2 == 0 ? at[within / 2] & 15 : at[within / 2] >> 4;
}

double Parameters::ColumnScale(uint64_t column) const {
  const uint64_t at = column * archive::FloatBytes(matrix_.scale_type) - ranges_.back().offset_bytes;
  return WidenFloat(kF32Format, WidenToF32(matrix_.scale_type, inputs_.back().data() + at));
}

uint32_t WidenToF32(FloatType type, const uint8_t* at) {
  if (type == FloatType::kF32) return LoadLe<uint32_t>(at);
  const uint32_t bits = LoadLe<uint16_t>(at);
  if (type == FloatType::kBf16) return bits << 16;
  return RoundToFloat(kF32Format, WidenFloat(kF16Format, bits));
}

}  // namespace entrofs::view
