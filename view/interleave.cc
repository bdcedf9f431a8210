#include "view/interleave.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "view/code_matrix.h"

namespace entrofs::view {
namespace {

using archive::BlockType;
using archive::CodeForm;
using archive::DerivedExtent;
using archive::kBlockCodes;

constexpr size_t kMostBlockBytes = 34;
constexpr size_t kF16Bytes = 2;

// The 32 codes of a block as bytes.
std::array<uint8_t, kBlockCodes> CodesOf(const Parameters& parameters, CodeForm form, uint64_t row, uint64_t column) {
  std::array<uint8_t, kBlockCodes> codes;
  const uint8_t* at = parameters.CodeAt(row, column);
  for (size_t i = 0; i < kBlockCodes; ++i) {
    codes[i] = form == CodeForm::kU4 ? (i % 2 == 0 ? at[i / 2] & 15 : at[i / 2] >> 4) : at[i];
  }
  return codes;
}

// One block of the matrix, at `out`.
void WriteBlock(const DerivedExtent& derived, const Parameters& parameters, uint64_t row, uint64_t column,
                uint8_t* out) {
  const CodeForm form = derived.matrix.code_form;
  const Parameters::Place place = parameters.PlaceOf(row, column);
  std::memcpy(out, parameters.ScaleAt(place), kF16Bytes);
  out += kF16Bytes;
  if (derived.block_type == BlockType::kQ8_0) {
    std::memcpy(out, parameters.CodeAt(row, column), kBlockCodes);
    if (form == CodeForm::kU8) {
      for (size_t i = 0; i < kBlockCodes; ++i) out[i] ^= 0x80;
    }
    return;
  }
  if (derived.block_type == BlockType::kQ4_1) {
    std::memcpy(out, parameters.MinimumAt(place), kF16Bytes);
    out += kF16Bytes;
  }
  const std::array<uint8_t, kBlockCodes> codes = CodesOf(parameters, form, row, column);
  for (size_t i = 0; i < kBlockCodes / 2; ++i) {
    out[i] = static_cast<uint8_t>((codes[i] & 15) | codes[i + kBlockCodes / 2] << 4);
  }
}

}  // namespace

std::vector<InputRange> InterleaveInputs(const DerivedExtent& derived, uint64_t offset_bytes, uint64_t length_bytes) {
  const uint64_t bytes = archive::BlockBytes(derived.block_type), per_row = derived.matrix.columns / kBlockCodes;
  const uint64_t first = offset_bytes / bytes, last = (offset_bytes + length_bytes - 1) / bytes;
  const ElementRange elements = {first / per_row, first % per_row * kBlockCodes, last / per_row,
                                 last % per_row * kBlockCodes + kBlockCodes - 1};
  return MatrixInputs(derived.matrix, elements, true);
}

void InterleaveRange(const DerivedExtent& derived, uint64_t offset_bytes, std::span<const ByteSpan> inputs,
                     MutableByteSpan out) {
  const std::vector<InputRange> ranges = InterleaveInputs(derived, offset_bytes, out.size());
  const Parameters parameters(derived.matrix, ranges, inputs);
  const uint64_t bytes = archive::BlockBytes(derived.block_type), per_row = derived.matrix.columns / kBlockCodes;
  uint8_t part[kMostBlockBytes];
  while (!out.empty()) {
    const uint64_t block = offset_bytes / bytes, skip = offset_bytes % bytes;
    const size_t take = std::min<size_t>(bytes - skip, out.size());
    uint8_t* target = take == bytes ? out.data() : part;
    WriteBlock(derived, parameters, block / per_row, block % per_row * kBlockCodes, target);
    if (target == part) std::memcpy(out.data(), part + skip, take);
    out = out.subspan(take);
    offset_bytes += take;
  }
}

}  // namespace entrofs::view
