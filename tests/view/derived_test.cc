// Derived extents give what the format's words say, for any range.

#include "view/derived.h"

#include <gtest/gtest.h>

#include "tests/support/reference_derive.h"

namespace entrofs::view {
namespace {

using archive::BlockType;
using archive::CodeForm;
using archive::DerivedExtent;
using archive::FloatType;
using archive::Function;
using archive::ZeroForm;
using testing_support::Bytes;
using testing_support::DeriveInputs;
using testing_support::RandomBytes;

enum : uint32_t { kInput, kCodes, kScales, kZeros, kColumns };

const Bytes& InputNumber(const DeriveInputs& inputs, uint32_t number) {
  const Bytes* all[] = {&inputs.input, &inputs.codes, &inputs.scales, &inputs.zeros, &inputs.column_scales};
  return *all[number];
}

// The range as Derive gives it, from inputs cut exactly as InputsOf says.
Bytes Range(const DerivedExtent& derived, const DeriveInputs& inputs, uint64_t offset, size_t length) {
  std::vector<Bytes> cut;
  for (const InputRange& range : InputsOf(derived, offset, length)) {
    const Bytes& all = InputNumber(inputs, range.extent);
    EXPECT_LE(range.offset_bytes + range.length_bytes, all.size());
    EXPECT_GT(range.length_bytes, 0u);
    const auto begin = all.begin() + static_cast<ptrdiff_t>(range.offset_bytes);
    cut.emplace_back(begin, begin + static_cast<ptrdiff_t>(range.length_bytes));
  }
  Bytes out(length);
  std::vector<ByteSpan> spans(cut.begin(), cut.end());
  Derive(derived, offset, spans, out);
  return out;
}

void ExpectEveryRange(const DerivedExtent& derived, const DeriveInputs& inputs, const std::string& what) {
  const Bytes wanted = testing_support::ReferenceDerive(derived, inputs);
  ASSERT_EQ(wanted.size(), derived.plain_bytes) << what;
  ASSERT_TRUE(Range(derived, inputs, 0, wanted.size()) == wanted) << what;
  const Bytes noise = RandomBytes(16 * 120, 256, wanted.size());
  for (size_t i = 0; i < 120; ++i) {
    const uint64_t offset = LoadLe<uint64_t>(noise.data() + 16 * i) % wanted.size();
    const size_t longest = std::min<size_t>(wanted.size() - offset, i % 2 == 0 ? 9 : wanted.size());
    const size_t length = 1 + LoadLe<uint64_t>(noise.data() + 16 * i + 8) % longest;
    const auto begin = wanted.begin() + static_cast<ptrdiff_t>(offset);
    ASSERT_TRUE(Range(derived, inputs, offset, length) == Bytes(begin, begin + static_cast<ptrdiff_t>(length)))
        << what << " at " << offset << " of " << length;
  }
  const ReadInput read = [&](uint32_t extent, uint64_t offset, MutableByteSpan out) -> Status {
    std::memcpy(out.data(), InputNumber(inputs, extent).data() + offset, out.size());
    return OkStatus();
  };
  Bytes all(wanted.size());
  ASSERT_TRUE(DeriveFrom(derived, 0, read, all).ok()) << what;
  ASSERT_TRUE(all == wanted) << what;
  ASSERT_FALSE(DeriveFrom(derived, 1, read, all).ok()) << what;
}

// Floats as scales are: any bits, with few infinities and NaNs.
Bytes Floats(FloatType type, size_t count, uint64_t seed) {
  Bytes bytes = RandomBytes(count * archive::FloatBytes(type), 256, seed);
  for (size_t i = archive::FloatBytes(type) - 1; i < bytes.size(); i += archive::FloatBytes(type)) {
    if (i % 5 != 0) bytes[i] = static_cast<uint8_t>((bytes[i] & 0x80) | 0x3c);
  }
  return bytes;
}

struct Shape {
  uint64_t rows, columns, padding, rows_per_scale, columns_per_scale;
};

constexpr Shape kShapes[] = {{7, 96, 0, 1, 96},  // per row
                             {7, 96, 0, 7, 96},  // per tensor
                             {9, 96, 0, 1, 32},  // groups
                             {5, 71, 3, 1, 16},  // groups that do not fill a row, which is filled up
                             {17, 40, 0, 4, 8},  // squares
                             {1, 1, 0, 1, 1},    // one number
                             {3, 1025, 0, 2, 500}};

DerivedExtent MatrixOf(const Shape& shape, CodeForm form) {
  DerivedExtent derived;
  derived.name = "w";
  derived.matrix.codes = kCodes;
  derived.matrix.scales = kScales;
  derived.matrix.code_form = form;
  derived.matrix.rows = shape.rows;
  derived.matrix.columns = shape.columns;
  derived.matrix.row_bytes = (form == CodeForm::kU4 ? (shape.columns + 1) / 2 : shape.columns) + shape.padding;
  derived.matrix.rows_per_scale = shape.rows_per_scale;
  derived.matrix.columns_per_scale = shape.columns_per_scale;
  return derived;
}

TEST(Dequantize, EveryFormShapeAndTypeInEveryRange) {
  for (const Shape& shape : kShapes) {
    for (CodeForm form : {CodeForm::kU8, CodeForm::kI8, CodeForm::kU4}) {
      for (FloatType scale : {FloatType::kBf16, FloatType::kF16, FloatType::kF32}) {
        for (FloatType output : {FloatType::kBf16, FloatType::kF16, FloatType::kF32}) {
          for (bool has_column_scales : {false, true}) {
            DerivedExtent derived = MatrixOf(shape, form);
            derived.function = Function::kDequantize;
            derived.output = output;
            derived.plain_bytes = shape.rows * shape.columns * archive::FloatBytes(output);
            derived.matrix.scale_type = scale;
            derived.matrix.zero = 8;
            DeriveInputs inputs;
            inputs.codes = RandomBytes(shape.rows * derived.matrix.row_bytes, 256, 3);
            inputs.scales = Floats(scale, derived.matrix.ScaleRows() * derived.matrix.ScaleColumns(), 4);
            if (has_column_scales) {
              derived.matrix.column_scales = kColumns;
              inputs.column_scales = Floats(scale, shape.columns, 5);
            }
            ExpectEveryRange(derived, inputs, "columns " + std::to_string(shape.columns));
          }
        }
      }
    }
  }
}

TEST(Dequantize, EveryFormOfZeroPoints) {
  for (const Shape& shape : kShapes) {
    for (CodeForm form : {CodeForm::kU8, CodeForm::kI8, CodeForm::kU4}) {
      for (ZeroForm zeros : {ZeroForm::kBytes, ZeroForm::kU8DownRows, ZeroForm::kU4DownRows}) {
        DerivedExtent derived = MatrixOf(shape, form);
        derived.function = Function::kDequantize;
        derived.plain_bytes = shape.rows * shape.columns * 2;
        derived.matrix.zero_form = zeros;
        derived.matrix.zeros = kZeros;
        DeriveInputs inputs;
        inputs.codes = RandomBytes(shape.rows * derived.matrix.row_bytes, 256, 3);
        inputs.scales = Floats(FloatType::kBf16, derived.matrix.ScaleRows() * derived.matrix.ScaleColumns(), 4);
        uint64_t zero_rows = derived.matrix.ScaleRows(), width = 1;
        if (zeros != ZeroForm::kBytes) {
          const uint64_t per_word = zeros == ZeroForm::kU8DownRows ? 4 : 8;
          zero_rows = (zero_rows + per_word - 1) / per_word;
          width = 4;
        }
        inputs.zeros = RandomBytes(zero_rows * derived.matrix.ScaleColumns() * width, 256, 6);
        ExpectEveryRange(derived, inputs, "columns " + std::to_string(shape.columns));
      }
    }
  }
}

TEST(Interleave, EveryBlockTypeInEveryRange) {
  for (const Shape& shape : {Shape{3, 96, 0, 1, 96}, Shape{5, 128, 0, 1, 32}, Shape{4, 64, 4, 2, 64}}) {
    for (BlockType type : {BlockType::kQ8_0, BlockType::kQ4_0, BlockType::kQ4_1}) {
      for (CodeForm form : {CodeForm::kU8, CodeForm::kI8, CodeForm::kU4}) {
        const bool is_q8 = type == BlockType::kQ8_0;
        if (is_q8 ? form == CodeForm::kU4 : form == CodeForm::kI8) continue;
        DerivedExtent derived = MatrixOf(shape, form);
        derived.function = Function::kInterleave;
        derived.block_type = type;
        derived.plain_bytes = shape.rows * shape.columns / 32 * archive::BlockBytes(type);
        derived.matrix.scale_type = FloatType::kF16;
        derived.matrix.zero = type == BlockType::kQ4_0 ? 8 : is_q8 && form == CodeForm::kU8 ? 128 : 0;
        DeriveInputs inputs;
        const uint64_t scales = derived.matrix.ScaleRows() * derived.matrix.ScaleColumns();
        inputs.codes = RandomBytes(shape.rows * derived.matrix.row_bytes, 256, 3);
        inputs.scales = RandomBytes(2 * scales, 256, 4);
        if (type == BlockType::kQ4_1) {
          derived.matrix.zeros = kZeros;
          inputs.zeros = RandomBytes(2 * scales, 256, 5);
        }
        ExpectEveryRange(derived, inputs, "type " + std::to_string(static_cast<int>(type)));
      }
    }
  }
}

TEST(Derived, CopiesFlipsAndLiterals) {
  DeriveInputs inputs;
  inputs.input = RandomBytes(700, 256, 1);
  DerivedExtent copy{.name = "copy",
                     .function = Function::kCopy,
                     .plain_bytes = 300,
                     .input = kInput,
                     .offset_bytes = 123,
                     .literal = {},
                     .matrix = {}};
  ExpectEveryRange(copy, inputs, "copy");
  DerivedExtent flip{.name = "flip",
                     .function = Function::kFlip,
                     .plain_bytes = 700,
                     .input = kInput,
                     .mask = 0x80,
                     .literal = {},
                     .matrix = {}};
  ExpectEveryRange(flip, inputs, "flip");
  DerivedExtent literal{.name = "literal", .plain_bytes = 5, .literal = {1, 2, 3, 4, 5}, .matrix = {}};
  ExpectEveryRange(literal, inputs, "literal");
}

TEST(Derived, SegmentsOfCodesCorrespondToSegmentsOfTheOutput) {
  DerivedExtent derived = MatrixOf({100, 4096, 0, 1, 4096}, CodeForm::kI8);
  derived.function = Function::kDequantize;
  EXPECT_EQ(OutputBytesFor(derived, 65536), 131072u);
  derived.output = FloatType::kF32;
  derived.matrix.code_form = CodeForm::kU4;
  derived.matrix.row_bytes = 2048;
  EXPECT_EQ(OutputBytesFor(derived, 65536), 65536u * 8);
  derived.matrix.row_bytes = 2052;
  EXPECT_EQ(OutputBytesFor(derived, 65536), 0u);
  EXPECT_EQ(OutputBytesFor(derived, 2052 * 10), 40960u * 4);
  derived.function = Function::kInterleave;
  derived.matrix.row_bytes = 2048;
  derived.block_type = BlockType::kQ4_0;
  EXPECT_EQ(OutputBytesFor(derived, 65536), 65536u / 16 * 18);
}

TEST(Derived, PiecesOfLongRowsNeedBoundedInputs) {
  // Two rows of 2^40 codes in groups of one, with a scale for each column: across their border, all parameters of a row
  // would be needed.
  DerivedExtent derived = MatrixOf({2, uint64_t{1} << 40, 0, 2, 1}, CodeForm::kI8);
  derived.function = Function::kDequantize;
  derived.plain_bytes = uint64_t{1} << 42;
  derived.matrix.column_scales = kColumns;
  const uint64_t border = uint64_t{1} << 41;
  EXPECT_EQ(PieceBytes(derived, border - 6, 1000), 6u);
  for (uint64_t offset : {uint64_t{0}, border - 6, border - 1, border, border + 3, 2 * border - 5}) {
    const uint64_t piece = PieceBytes(derived, offset, derived.plain_bytes - offset);
    ASSERT_GT(piece, 0u);
    for (const InputRange& range : InputsOf(derived, offset, piece)) EXPECT_LE(range.length_bytes, 8u << 20);
  }
}

}  // namespace
}  // namespace entrofs::view
