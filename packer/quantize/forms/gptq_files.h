#pragma once

#include <memory>

#include "base/file.h"
#include "packer/quantize/arithmetic/matrix.h"

// The tensors of a quantized matrix in the form of AutoGPTQ: the other way round from how they are computed, so each is
// made whole at the first read and then kept in a CodeStore. Thread-safe; all keep the matrix alive.
namespace entrofs::packer::quantize::forms {

// [columns / codes per word, rows] words of 32 bits: each holds the codes of so many columns of a row, the first in the
// lowest bits. Requires: both dimensions are multiples of the codes in a word. Making it takes a byte per weight.
std::shared_ptr<const RandomAccessFile> GptqCodesOf(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix);

// [groups, rows / codes per word] words, packed along the rows: zero points less one.
std::shared_ptr<const RandomAccessFile> GptqZeroPointsOf(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix,
                                                         uint64_t groups);

// [groups, rows] scales in F16. Requires of both: a run is a group, a row or the whole matrix.
std::shared_ptr<const RandomAccessFile> GptqScalesOf(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix,
                                                     uint64_t groups);

}  // namespace entrofs::packer::quantize::forms
