#include "view/derived.h"

#include <algorithm>
#include <cstring>

#include "archive/paths.h"
#include "view/dequantize.h"
#include "view/interleave.h"

namespace entrofs::view {
namespace {

using archive::CodeForm;
using archive::CodeMatrix;
using archive::DerivedExtent;
using archive::Function;

constexpr uint64_t kMaxPieceBytes = 4 << 20;
// Bytes that end in another row than they begin may need all parameters of a row, so these must not be too many.
constexpr uint64_t kMaxColumnsAcrossRows = 1 << 20;

// Bytes of a row of the output; 0 without rows.
uint64_t RowBytes(const DerivedExtent& derived) {
  const CodeMatrix& m = derived.matrix;
  if (derived.function == Function::kDequantize) return m.columns * archive::FloatBytes(derived.output);
  if (derived.function != Function::kInterleave) return 0;
  return m.columns / archive::kBlockCodes * archive::BlockBytes(derived.block_type);
}

}  // namespace

uint64_t PieceBytes(const DerivedExtent& derived, uint64_t offset_bytes, uint64_t length_bytes) {
  const uint64_t most = std::min(length_bytes, kMaxPieceBytes), row_bytes = RowBytes(derived);
  if (row_bytes == 0 || derived.matrix.columns <= kMaxColumnsAcrossRows) return most;
  return std::min(most, row_bytes - offset_bytes % row_bytes);
}

std::vector<InputRange> InputsOf(const DerivedExtent& derived, uint64_t offset_bytes, uint64_t length_bytes) {
  switch (derived.function) {
    case Function::kCopy:
      return {{derived.input, derived.offset_bytes + offset_bytes, length_bytes}};
    case Function::kLiteral:
      return {};
    case Function::kDequantize:
      return DequantizeInputs(derived, offset_bytes, length_bytes);
    case Function::kFlip:
      return {{derived.input, offset_bytes, length_bytes}};
    case Function::kInterleave:
      return InterleaveInputs(derived, offset_bytes, length_bytes);
  }
  return {};
}

void Derive(const DerivedExtent& derived, uint64_t offset_bytes, std::span<const ByteSpan> inputs,
            MutableByteSpan out) {
  switch (derived.function) {
    case Function::kCopy:
      std::memcpy(out.data(), inputs[0].data(), out.size());
      return;
    case Function::kLiteral:
      std::memcpy(out.data(), derived.literal.data() + offset_bytes, out.size());
      return;
    case Function::kDequantize:
      return DequantizeRange(derived, offset_bytes, inputs, out);
    case Function::kFlip:
      for (size_t i = 0; i < out.size(); ++i) out[i] = inputs[0][i] ^ derived.mask;
      return;
    case Function::kInterleave:
      return InterleaveRange(derived, offset_bytes, inputs, out);
  }
}

Status DeriveFrom(const DerivedExtent& derived, uint64_t offset_bytes, const ReadInput& read, MutableByteSpan out) {
  if (offset_bytes > derived.plain_bytes || out.size() > derived.plain_bytes - offset_bytes) {
    return Error{ErrorCode::kInvalidArgument, archive::Printable(derived.name) + ": read past the end"};
  }
  std::vector<std::vector<uint8_t>> buffers;
  std::vector<ByteSpan> inputs;
  while (!out.empty()) {
    const MutableByteSpan piece = out.first(PieceBytes(derived, offset_bytes, out.size()));
    const std::vector<InputRange> ranges = InputsOf(derived, offset_bytes, piece.size());
    buffers.resize(ranges.size());
    inputs.clear();
    for (size_t i = 0; i < ranges.size(); ++i) {
      buffers[i].resize(ranges[i].length_bytes);
      ENTROFS_RETURN_IF_ERROR(read(ranges[i].extent, ranges[i].offset_bytes, buffers[i]));
      inputs.emplace_back(buffers[i]);
    }
    Derive(derived, offset_bytes, inputs, piece);
    out = out.subspan(piece.size());
    offset_bytes += piece.size();
  }
  return OkStatus();
}

uint64_t OutputBytesFor(const DerivedExtent& derived, uint64_t input_bytes) {
  const CodeMatrix& m = derived.matrix;
  const bool is_u4 = m.code_form == CodeForm::kU4;
  switch (derived.function) {
    case Function::kCopy:
      return derived.offset_bytes == 0 ? input_bytes : 0;
    case Function::kFlip:
      return input_bytes;
    case Function::kLiteral:
      return 0;
    case Function::kDequantize:
    case Function::kInterleave:
      break;
  }
  const uint64_t codes = input_bytes * (is_u4 ? 2 : 1);
  const uint64_t codes_per_row = m.row_bytes * (is_u4 ? 2 : 1);
  // Rows that are filled up: only whole ones correspond.
  if (m.columns != codes_per_row) {
    if (input_bytes % m.row_bytes != 0) return 0;
    const uint64_t elements = input_bytes / m.row_bytes * m.columns;
    return derived.function == Function::kDequantize
               ? elements * archive::FloatBytes(derived.output)
               : elements / archive::kBlockCodes * archive::BlockBytes(derived.block_type);
  }
  if (derived.function == Function::kDequantize) return codes * archive::FloatBytes(derived.output);
  if (codes % archive::kBlockCodes != 0) return 0;
  return codes / archive::kBlockCodes * archive::BlockBytes(derived.block_type);
}

}  // namespace entrofs::view
