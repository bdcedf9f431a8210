#include "packer/quantize/forms/values.h"

#include "packer/quantize/forms/matrix_files.h"

namespace entrofs::packer::quantize::forms {
namespace {

// Where LayOut puts them.
constexpr size_t kCodes = 0;
constexpr size_t kScales = 1;
constexpr size_t kPackedZeroPoints = 3;

std::optional<archive::FloatType> FloatTypeOf(source::Dtype dtype) {
  if (dtype == source::Dtype::kBf16) return archive::FloatType::kBf16;
  if (dtype == source::Dtype::kF16) return archive::FloatType::kF16;
  if (dtype == source::Dtype::kF32) return archive::FloatType::kF32;
  return std::nullopt;
}

}  // namespace

std::optional<tree::ViewPart> ValuesOf(const tree::OutputTensor& input, const Form& form,
                                       const arithmetic::QuantizedMatrix& matrix,
                                       std::vector<tree::OutputTensor>& outputs) {
  const std::optional<archive::FloatType> type = FloatTypeOf(input.dtype);
  if (!type || form.format == Form::Format::kGptq) return std::nullopt;
  if (form.format == Form::Format::kMlx && !form.symmetric) return std::nullopt;

  archive::DerivedExtent values;
  values.name = input.name;
  values.function = archive::Function::kDequantize;
  values.plain_bytes = input.bytes->size();
  values.output = *type;
  archive::CodeMatrix& codes = values.matrix;
  codes.scale_type = *type;
  codes.rows = matrix.shape().rows;
  codes.columns = matrix.shape().columns;
  std::vector<size_t> used = {kCodes, kScales};
  if (form.format == Form::Format::kNaive) {
    arithmetic::Affine affine;
    // A matrix with one run has its parameters at hand: reading them cannot fail.
    (void)matrix.ReadAffines(0, 1, &affine);
    codes.code_form = archive::CodeForm::kI8;
    codes.zero = static_cast<int16_t>(affine.zero_point - 128);
    codes.row_bytes = codes.columns;
    codes.rows_per_scale = codes.rows;
    codes.columns_per_scale = codes.columns;
  } else {
    codes.code_form = form.bits == 4 ? archive::CodeForm::kU4 : archive::CodeForm::kU8;
    codes.row_bytes = PackedWordsPerRow(matrix) * sizeof(uint32_t);
    codes.columns_per_scale = form.group_size == 0 ? codes.columns : form.group_size;
    if (form.symmetric) {
      codes.zero = static_cast<int16_t>(1 << (form.bits - 1));
    } else {
      codes.zero_form = form.bits == 4 ? archive::ZeroForm::kU4DownRows : archive::ZeroForm::kU8DownRows;
      used.push_back(kPackedZeroPoints);
    }
  }
  tree::ViewPart part{input.name, {}, std::move(values)};
  for (size_t output : used) {
    outputs[output].stands_alone = true;
    part.inputs.push_back(outputs[output].bytes);
  }
  return part;
}

}  // namespace entrofs::packer::quantize::forms
