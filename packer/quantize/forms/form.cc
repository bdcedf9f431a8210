#include "packer/quantize/forms/form.h"

#include "packer/quantize/forms/gptq_files.h"
#include "packer/quantize/forms/matrix_files.h"
#include "packer/quantize/selection/eligibility.h"

namespace entrofs::packer::quantize::forms {
namespace {

tree::OutputTensor Make(const tree::OutputTensor& input, const char* suffix, source::Dtype dtype,
                        std::vector<uint64_t> shape, std::shared_ptr<const RandomAccessFile> bytes) {
  tree::OutputTensor output;
  output.name = input.name + suffix;
  output.dtype = dtype;
  output.shape = std::move(shape);
  output.bytes = std::move(bytes);
  output.belongs_to = input.name;
  return output;
}

std::vector<tree::OutputTensor> LayOutNaive(const tree::OutputTensor& input,
                                            std::shared_ptr<const arithmetic::QuantizedMatrix> matrix) {
  arithmetic::Affine affine;
  // A matrix with one run has its parameters at hand: reading them cannot fail.
  (void)matrix->ReadAffines(0, 1, &affine);
  std::vector<uint8_t> zero_point = {static_cast<uint8_t>(affine.zero_point ^ 0x80)};
  return {
      Make(input, "", source::Dtype::kI8, input.shape, SignedBytesOf(matrix)),
      Make(input, "_scale", input.dtype, {1}, tree::SliceOf(ScalesOf(matrix, 1), 0, source::BitWidth(input.dtype) / 8)),
      Make(input, "_zero_point", source::Dtype::kI8, {1}, tree::BytesInMemory(std::move(zero_point)))};
}

std::vector<tree::OutputTensor> LayOutPacked(const tree::OutputTensor& input, const Form& form,
                                             std::shared_ptr<const arithmetic::QuantizedMatrix> matrix) {
  const uint64_t rows = matrix->shape().rows, columns = matrix->shape().columns;
  const uint64_t scales_per_row = form.group_size == 0 ? 1 : columns / form.group_size;
  std::vector<uint8_t> shape(2 * sizeof(uint64_t));
  StoreLe(shape.data(), rows);
  StoreLe(shape.data() + sizeof(uint64_t), columns);

  std::vector<tree::OutputTensor> outputs = {
      Make(input, "_packed", source::Dtype::kI32, {rows, PackedWordsPerRow(*matrix)}, PackedCodesOf(matrix)),
      Make(input, "_scale", input.dtype, {rows, scales_per_row}, ScalesOf(matrix, scales_per_row)),
      Make(input, "_shape", source::Dtype::kI64, {2}, tree::BytesInMemory(std::move(shape)))};
  if (!form.symmetric) {
    outputs.push_back(Make(input, "_zero_point", source::Dtype::kI32, {PackedZeroPointRows(*matrix), scales_per_row},
                           PackedZeroPointsOf(matrix, scales_per_row)));
  }
  return outputs;
}

std::vector<tree::OutputTensor> LayOutMlx(const tree::OutputTensor& input, const Form& form,
                                          std::shared_ptr<const arithmetic::QuantizedMatrix> matrix) {
  const uint64_t rows = input.shape[0], per_row = input.shape[1] / form.group_size;
  const std::string module = selection::ModuleName(input.name);
  std::vector<tree::OutputTensor> outputs = {
      Make(input, "", source::Dtype::kU32, {rows, PackedWordsPerRow(*matrix)}, PackedCodesOf(matrix)),
      Make(input, "", input.dtype, {rows, per_row}, ScalesOf(matrix, per_row)),
      Make(input, "", input.dtype, {rows, per_row}, BiasesOf(matrix, per_row))};
  outputs[0].name = module + ".weight";
  outputs[1].name = module + ".scales";
  outputs[2].name = module + ".biases";
  return outputs;
}

std::vector<tree::OutputTensor> LayOutGptq(const tree::OutputTensor& input, const Form& form,
                                           std::shared_ptr<const arithmetic::QuantizedMatrix> matrix) {
  const uint64_t rows = input.shape[0], columns = input.shape[1];
  const uint64_t group_size = form.group_size == 0 ? columns : form.group_size;
  const uint64_t groups = columns / group_size, codes_per_word = 32 / static_cast<uint64_t>(form.bits);
  const std::string module = selection::ModuleName(input.name);
  std::vector<uint8_t> group_of(columns * sizeof(uint32_t));
  for (uint64_t j = 0; j < columns; ++j) {
    StoreLe(group_of.data() + j * sizeof(uint32_t), static_cast<uint32_t>(j / group_size));
  }
  std::vector<tree::OutputTensor> outputs = {
      Make(input, "", source::Dtype::kI32, {columns / codes_per_word, rows}, GptqCodesOf(matrix)),
      Make(input, "", source::Dtype::kI32, {groups, rows / codes_per_word}, GptqZeroPointsOf(matrix, groups)),
      Make(input, "", source::Dtype::kF16, {groups, rows}, GptqScalesOf(matrix, groups)),
      Make(input, "", source::Dtype::kI32, {columns}, tree::BytesInMemory(std::move(group_of)))};
  outputs[0].name = module + ".qweight";
  outputs[1].name = module + ".qzeros";
  outputs[2].name = module + ".scales";
  outputs[3].name = module + ".g_idx";
  return outputs;
}

}  // namespace

std::vector<tree::OutputTensor> LayOut(const tree::OutputTensor& input, const Form& form,
                                       std::shared_ptr<const arithmetic::QuantizedMatrix> matrix) {
  const uint64_t weight_count = matrix->shape().element_count();
  std::vector<tree::OutputTensor> outputs;
  switch (form.format) {
    case Form::Format::kNaive:
      outputs = LayOutNaive(input, std::move(matrix));
      break;
    case Form::Format::kPacked:
      outputs = LayOutPacked(input, form, std::move(matrix));
      break;
    case Form::Format::kMlx:
      outputs = LayOutMlx(input, form, std::move(matrix));
      break;
    case Form::Format::kGptq:
      outputs = LayOutGptq(input, form, std::move(matrix));
      break;
  }
  outputs.front().weight_count = weight_count;
  return outputs;
}

std::shared_ptr<const codec::Histogram> ByteCountsOf(const Form& form, const arithmetic::QuantizedMatrix& matrix,
                                                     const codec::Histogram& codes) {
  if (matrix.bits() != 8) return nullptr;
  auto bytes = std::make_shared<codec::Histogram>(codes);
  if (form.format == Form::Format::kNaive) {
    for (size_t code = 0; code < codes.size(); ++code) (*bytes)[code ^ 0x80] = codes[code];
    return bytes;
  }
  // Rows are filled up to whole words with zeros; GPTQ's matrices have no others.
  const arithmetic::QuantizedMatrix::Shape& shape = matrix.shape();
  (*bytes)[0] += shape.rows * (PackedWordsPerRow(matrix) * sizeof(uint32_t) - shape.columns);
  return bytes;
}

}  // namespace entrofs::packer::quantize::forms
