// A sample archive with views.

#include <cstdio>
#include <cstdlib>

#include "tests/support/reference_derive.h"
#include "tests/support/sample_archive.h"

namespace entrofs::testing_support {
namespace {

using archive::BlockType;
using archive::CodeForm;
using archive::DerivedExtent;
using archive::FloatType;
using archive::Function;
using archive::ZeroForm;
using codec::CodecKind;

// Scales of that type, around 2^-7.
Bytes Scales(FloatType type, size_t count, uint64_t seed) {
  Bytes bytes = RandomBytes(count * archive::FloatBytes(type), 256, seed);
  for (size_t i = archive::FloatBytes(type) - 1; i < bytes.size(); i += archive::FloatBytes(type)) {
    bytes[i] = static_cast<uint8_t>(type == FloatType::kF16 ? 0x20 | (bytes[i] & 3) : 0x3c);
  }
  return bytes;
}

DerivedExtent Literal(const std::string& text) {
  DerivedExtent derived;
  derived.name = "header";
  derived.literal.assign(text.begin(), text.end());
  derived.plain_bytes = text.size();
  return derived;
}

struct Shape {
  uint64_t rows, columns, row_bytes, rows_per_scale, columns_per_scale;
};

DerivedExtent Matrix(const std::string& name, Function function, CodeForm form, FloatType scale_type,
                     const Shape& shape) {
  DerivedExtent derived;
  derived.name = name;
  derived.function = function;
  derived.matrix.code_form = form;
  derived.matrix.scale_type = scale_type;
  derived.matrix.rows = shape.rows;
  derived.matrix.columns = shape.columns;
  derived.matrix.row_bytes = shape.row_bytes;
  derived.matrix.rows_per_scale = shape.rows_per_scale;
  derived.matrix.columns_per_scale = shape.columns_per_scale;
  return derived;
}

DerivedExtent Dequantized(const std::string& name, CodeForm form, FloatType scale_type, FloatType output,
                          const Shape& shape) {
  DerivedExtent derived = Matrix(name, Function::kDequantize, form, scale_type, shape);
  derived.output = output;
  derived.plain_bytes = shape.rows * shape.columns * archive::FloatBytes(output);
  return derived;
}

DerivedExtent Interleaved(const std::string& name, CodeForm form, BlockType type, const Shape& shape) {
  DerivedExtent derived = Matrix(name, Function::kInterleave, form, FloatType::kF16, shape);
  derived.block_type = type;
  derived.plain_bytes = shape.rows * shape.columns / archive::kBlockCodes * archive::BlockBytes(type);
  return derived;
}

const Bytes* PlainOf(const Sample& sample, const std::string& name) {
  for (const SampleFile& file : sample.files) {
    for (const SampleExtent& extent : file.extents) {
      if (extent.name == name) return &extent.plain;
    }
  }
  for (const SampleExtent& extent : sample.pool) {
    if (extent.name == name) return &extent.plain;
  }
  return nullptr;
}

void AddStored(Sample& sample, size_t scale) {
  const size_t rows = 8 * scale;
  sample.files.push_back({.path = "config.json", .extents = {{"config", Bytes(40, '{'), {}, CodecKind::kStored}}});
  sample.files.push_back(
      {.path = "model.safetensors",
       .extents = {{"packed header", RandomBytes(30, 40, 1), {}, CodecKind::kZstd},
                   {"a.weight", RandomBytes(rows * 64, 30, 2), {}, CodecKind::kTans},
                   {"a.weight_scale", Scales(FloatType::kBf16, rows, 3), {2, true}, CodecKind::kTans}}});
  sample.pool = {{"b.codes", RandomBytes(rows * 12, 30, 4), {}, CodecKind::kHuffman},
                 {"b.scales", Scales(FloatType::kF32, rows * 3, 5), {4, false}, CodecKind::kTans},
                 {"b.zeros", RandomBytes((rows + 7) / 8 * 3 * 4, 256, 6), {}, CodecKind::kStored},
                 {"b.columns", Scales(FloatType::kF32, 21, 7), {}, CodecKind::kStored},
                 {"c.codes", RandomBytes(rows * 32, 256, 8), {}, CodecKind::kStored},
                 {"c.scales", Scales(FloatType::kF16, rows * 2, 9), {}, CodecKind::kStored},
                 {"c.minimums", Scales(FloatType::kF16, rows * 2, 10), {}, CodecKind::kStored},
                 {"bytes.zeros", RandomBytes(rows, 30, 11), {}, CodecKind::kTans}};
}

}  // namespace

Sample ViewsSample(size_t scale) {
  Sample sample;
  AddStored(sample, scale);
  const size_t rows = 8 * scale;
  sample.derived.push_back({.extent = Literal("{\"a\": 1}")});
  sample.derived.push_back(
      {.extent = Dequantized("a", CodeForm::kI8, FloatType::kBf16, FloatType::kBf16, {rows, 64, 64, 1, 64}),
       .codes = "a.weight",
       .scales = "a.weight_scale"});
  DerivedExtent with_bytes =
      Dequantized("a with zeros", CodeForm::kU8, FloatType::kBf16, FloatType::kF32, {rows, 64, 64, 1, 64});
  with_bytes.matrix.zero_form = ZeroForm::kBytes;
  sample.derived.push_back(
      {.extent = with_bytes, .codes = "a.weight", .scales = "a.weight_scale", .zeros = "bytes.zeros"});
  DerivedExtent b = Dequantized("b", CodeForm::kU4, FloatType::kF32, FloatType::kF16, {rows, 21, 12, 1, 8});
  b.matrix.zero_form = ZeroForm::kU4DownRows;
  sample.derived.push_back({.extent = b, .codes = "b.codes", .scales = "b.scales", .zeros = "b.zeros"});
  DerivedExtent b_columns = b;
  b_columns.name = "b of scaled columns";
  b_columns.output = FloatType::kBf16;
  sample.derived.push_back({.extent = b_columns,
                            .codes = "b.codes",
                            .scales = "b.scales",
                            .zeros = "b.zeros",
                            .column_scales = "b.columns"});
  const Shape c = {rows, 64, 32, 1, 32};
  DerivedExtent q4_0 = Interleaved("c as Q4_0", CodeForm::kU4, BlockType::kQ4_0, c);
  q4_0.matrix.zero = 8;
  sample.derived.push_back({.extent = q4_0, .codes = "c.codes", .scales = "c.scales"});
  sample.derived.push_back({.extent = Interleaved("c as Q4_1", CodeForm::kU4, BlockType::kQ4_1, c),
                            .codes = "c.codes",
                            .scales = "c.scales",
                            .zeros = "c.minimums"});
  sample.derived.push_back({.extent = Interleaved("a as Q8_0", CodeForm::kI8, BlockType::kQ8_0, {rows, 64, 64, 1, 32}),
                            .codes = "a.weight",
                            .scales = "c.scales"});
  DerivedExtent part;
  part.name = "part of a";
  part.function = Function::kCopy;
  part.offset_bytes = 7;
  part.plain_bytes = 100;
  sample.derived.push_back({.extent = part, .input = "a.weight"});
  DerivedExtent flipped;
  flipped.name = "a as uint8";
  flipped.function = Function::kFlip;
  flipped.mask = 0x80;
  flipped.plain_bytes = rows * 64;
  sample.derived.push_back({.extent = flipped, .input = "a.weight"});

  sample.tree_name = "compressed-tensors";
  sample.default_view = "source";
  sample.views.push_back({.name = "source",
                          .files = {{.path = "config.json", .extents = {"config"}},
                                    {.path = "empty", .extents = {}},
                                    {.path = "sub/model.safetensors",
                                     .extents = {"header", "a", "b", "a with zeros", "b of scaled columns"}}},
                          .directories = {"nothing in here"}});
  sample.views.push_back({.name = "gguf",
                          .files = {{.path = "model.gguf",
                                     .extents = {"header", "a as Q8_0", "c as Q4_0", "c as Q4_1", "part of a",
                                                 "a as uint8", "a.weight"}}}});
  return sample;
}

Bytes Sample::ExtentContent(const std::string& name) const {
  if (const Bytes* plain = PlainOf(*this, name)) return *plain;
  for (const SampleDerived& one : derived) {
    if (one.extent.name != name) continue;
    const auto input = [&](const std::string& of) { return of.empty() ? Bytes{} : ExtentContent(of); };
    DeriveInputs inputs{input(one.input), input(one.codes), input(one.scales), input(one.zeros),
                        input(one.column_scales)};
    return ReferenceDerive(one.extent, inputs);
  }
  std::fprintf(stderr, "the sample has no extent %s\n", name.c_str());
  std::abort();
}

Bytes Sample::Content(const SampleViewFile& file) const {
  Bytes content;
  for (const std::string& name : file.extents) {
    const Bytes extent = ExtentContent(name);
    content.insert(content.end(), extent.begin(), extent.end());
  }
  return content;
}

}  // namespace entrofs::testing_support
