#include "packer/quantize/layout.h"

#include "packer/quantize/matrix_files.h"

namespace entrofs::packer::quantize {
namespace {

OutputTensor Make(const OutputTensor& input, const char* suffix, Dtype dtype, std::vector<uint64_t> shape,
                  std::shared_ptr<const RandomAccessFile> bytes) {
  OutputTensor output;
  output.name = input.name + suffix;
  output.dtype = dtype;
  output.shape = std::move(shape);
  output.bytes = std::move(bytes);
  output.belongs_to = input.name;
  return output;
}

std::vector<OutputTensor> LayOutNaive(const OutputTensor& input, std::shared_ptr<const QuantizedMatrix> matrix) {
  Affine affine;
  // A matrix with one run has its parameters at hand: reading them cannot fail.
  (void)matrix->ReadAffines(0, 1, &affine);
  std::vector<uint8_t> zero_point = {static_cast<uint8_t>(affine.zero_point ^ 0x80)};
  return {Make(input, "", Dtype::kI8, input.shape, SignedBytesOf(matrix)),
          Make(input, "_scale", input.dtype, {1}, SliceOf(ScalesOf(matrix, 1), 0, BitWidth(input.dtype) / 8)),
          Make(input, "_zero_point", Dtype::kI8, {1}, BytesInMemory(std::move(zero_point)))};
}

std::vector<OutputTensor> LayOutPacked(const OutputTensor& input, const Layout& layout,
                                       std::shared_ptr<const QuantizedMatrix> matrix) {
  const uint64_t rows = input.shape[0], columns = input.shape[1];
  const uint64_t scales_per_row = layout.group_size == 0 ? 1 : columns / layout.group_size;
  std::vector<uint8_t> shape(2 * sizeof(uint64_t));
  StoreLe(shape.data(), rows);
  StoreLe(shape.data() + sizeof(uint64_t), columns);

  std::vector<OutputTensor> outputs = {
      Make(input, "_packed", Dtype::kI32, {rows, PackedWordsPerRow(*matrix)}, PackedCodesOf(matrix)),
      Make(input, "_scale", input.dtype, {rows, scales_per_row}, ScalesOf(matrix, scales_per_row)),
      Make(input, "_shape", Dtype::kI64, {2}, BytesInMemory(std::move(shape)))};
  if (!layout.symmetric) {
    outputs.push_back(Make(input, "_zero_point", Dtype::kI32, {PackedZeroPointRows(*matrix), scales_per_row},
                           PackedZeroPointsOf(matrix, scales_per_row)));
  }
  return outputs;
}

}  // namespace

std::vector<OutputTensor> LayOut(const OutputTensor& input, const Layout& layout,
                                 std::shared_ptr<const QuantizedMatrix> matrix) {
  const uint64_t weight_count = matrix->shape().element_count();
  std::vector<OutputTensor> outputs = layout.format == Layout::Format::kNaive
                                          ? LayOutNaive(input, std::move(matrix))
                                          : LayOutPacked(input, layout, std::move(matrix));
  outputs.front().weight_count = weight_count;
  return outputs;
}

}  // namespace entrofs::packer::quantize
