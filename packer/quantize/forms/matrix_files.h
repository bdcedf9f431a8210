#pragma once

#include <memory>

#include "base/file.h"
#include "packer/quantize/arithmetic/matrix.h"

// The tensors of a quantized matrix as files that compute their bytes when read, in the forms that compressed-tensors
// reads (https://github.com/vllm-project/compressed-tensors). All are thread-safe and keep the matrix alive.
namespace entrofs::packer::quantize::forms {

// One signed byte per weight, the code less 128. Requires: bits() == 8.
std::shared_ptr<const RandomAccessFile> SignedBytesOf(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix);

// Rows of little-endian 32-bit words that hold 32 / bits codes each, the first in the lowest bits; a row's last word is
// filled up with zeros. Requires: bits() is 4 or 8.
std::shared_ptr<const RandomAccessFile> PackedCodesOf(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix);
uint64_t PackedWordsPerRow(const arithmetic::QuantizedMatrix& matrix);

// Scales in the matrix's dtype, [rows, scales_per_row]: that of each entry's weights, repeated where a run covers
// several entries. Requires: scales_per_row divides columns; no entry has weights of two runs.
std::shared_ptr<const RandomAccessFile> ScalesOf(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix,
                                                 uint64_t scales_per_row);

// What a reader adds to code x scale: -zero point x scale, rounded to the dtype; entries as ScalesOf has them.
std::shared_ptr<const RandomAccessFile> BiasesOf(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix,
                                                 uint64_t scales_per_row);

// Zero points of the same runs, packed down the columns: word (i, j) holds those of rows i * 32 / bits onward.
std::shared_ptr<const RandomAccessFile> PackedZeroPointsOf(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix,
                                                           uint64_t scales_per_row);
uint64_t PackedZeroPointRows(const arithmetic::QuantizedMatrix& matrix);

}  // namespace entrofs::packer::quantize::forms
