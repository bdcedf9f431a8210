// Whether a derived extent can be computed from the stored extents there are. See docs/archive-format.md, "Derived
// extents".

#include "archive/index_fields.h"
#include "archive/paths.h"

namespace entrofs::archive {
namespace {

// More than any extent has.
constexpr uint64_t kTooMany = kMaxFileBytes + 1;

// kTooMany where the product is more than an extent can have.
uint64_t Product(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) || product > kMaxFileBytes ? kTooMany : product;
}

class Checker {
 public:
  Checker(const DerivedExtent& derived, const std::vector<const Extent*>& stored)
      : derived_(derived), stored_(stored) {}

  Status Check() const {
    if (derived_.plain_bytes == 0 || derived_.plain_bytes > kMaxFileBytes) return Wrong("of an impossible size");
    switch (derived_.function) {
      case Function::kCopy:
        return CheckCopy();
      case Function::kLiteral:
        return OkStatus();  // its size is how it was read
      case Function::kDequantize:
        return CheckDequantize();
      case Function::kFlip:
        return HasBytes(derived_.input, derived_.plain_bytes) ? OkStatus() : Wrong("does not fit its input");
      case Function::kInterleave:
        return CheckInterleave();
    }
    return Wrong("of an unknown function");
  }

 private:
  Status Wrong(const char* what) const {
    return CorruptIndex("derived extent " + Printable(derived_.name) + " " + what);
  }
  bool HasBytes(uint32_t number, uint64_t bytes) const {
    return number < stored_.size() && stored_[number]->plain_bytes == bytes;
  }

  Status CheckCopy() const {
    if (derived_.input >= stored_.size()) return Wrong("of an extent that is not there");
    const uint64_t input_bytes = stored_[derived_.input]->plain_bytes;
    if (derived_.offset_bytes > input_bytes || derived_.plain_bytes > input_bytes - derived_.offset_bytes) {
      return Wrong("reaches past its input");
    }
    return OkStatus();
  }

  Status CheckDequantize() const {
    ENTROFS_RETURN_IF_ERROR(CheckMatrix());
    const CodeMatrix& m = derived_.matrix;
    if (derived_.plain_bytes != Product(Product(m.rows, m.columns), FloatBytes(derived_.output))) {
      return Wrong("is not of the size of its matrix");
    }
    if (m.column_scales != kNoExtent && !HasBytes(m.column_scales, Product(m.columns, FloatBytes(m.scale_type)))) {
      return Wrong("has column scales that do not fit");
    }
    return CheckZeros();
  }

  // Blocks of 32 codes with a scale, and Q4_1 with a minimum.
  Status CheckInterleave() const {
    ENTROFS_RETURN_IF_ERROR(CheckMatrix());
    const CodeMatrix& m = derived_.matrix;
    const bool whole_rows = m.columns_per_scale == m.columns;
    if (m.columns % kBlockCodes != 0 || (!whole_rows && m.columns_per_scale % kBlockCodes != 0)) {
      return Wrong("has rows that are not whole blocks");
    }
    if (m.scale_type != FloatType::kF16 || m.column_scales != kNoExtent || m.zero_form != ZeroForm::kConstant) {
      return Wrong("has parameters that its blocks cannot hold");
    }
    const uint64_t blocks = Product(m.rows, m.columns / kBlockCodes);
    if (derived_.plain_bytes != Product(blocks, BlockBytes(derived_.block_type))) {
      return Wrong("is not of the size of its matrix");
    }
    if (derived_.block_type == BlockType::kQ4_1) {
      const bool fits = HasBytes(m.zeros, ScalesBytes());
      return m.code_form != CodeForm::kI8 && m.zero == 0 && fits ? OkStatus() : Wrong("does not fit its blocks");
    }
    const bool is_q8 = derived_.block_type == BlockType::kQ8_0;
    const bool fits =
        is_q8 ? (m.code_form == CodeForm::kI8 && m.zero == 0) || (m.code_form == CodeForm::kU8 && m.zero == 128)
              : m.code_form != CodeForm::kI8 && m.zero == 8;
    return fits && m.zeros == kNoExtent ? OkStatus() : Wrong("does not fit its blocks");
  }

  // Shape, codes and scales.
  Status CheckMatrix() const {
    const CodeMatrix& m = derived_.matrix;
    if (m.rows == 0 || m.columns == 0 || m.rows_per_scale == 0 || m.rows_per_scale > m.rows ||
        m.columns_per_scale == 0 || m.columns_per_scale > m.columns || m.zero < -128 || m.zero > 255) {
      return Wrong("has an impossible shape");
    }
    const uint64_t needed = m.code_form == CodeForm::kU4 ? (m.columns - 1) / 2 + 1 : m.columns;
    if (m.row_bytes < needed || m.row_bytes - needed > kMaxRowPaddingBytes ||
        !HasBytes(m.codes, Product(m.rows, m.row_bytes))) {
      return Wrong("does not fit its codes");
    }
    if (!HasBytes(m.scales, ScalesBytes())) {
      return Wrong("does not fit its scales");
    }
    return OkStatus();
  }

  uint64_t ScalesBytes() const {
    const CodeMatrix& m = derived_.matrix;
    return Product(Product(m.ScaleRows(), m.ScaleColumns()), FloatBytes(m.scale_type));
  }

  Status CheckZeros() const {
    const CodeMatrix& m = derived_.matrix;
    if (m.zero_form == ZeroForm::kConstant) {
      return m.zeros == kNoExtent ? OkStatus() : Wrong("has zero points that it does not use");
    }
    uint64_t bytes = Product(m.ScaleRows(), m.ScaleColumns());
    if (m.zero_form != ZeroForm::kBytes) {
      const uint64_t rows_per_word = m.zero_form == ZeroForm::kU8DownRows ? 4 : 8;
      bytes = Product(Product((m.ScaleRows() - 1) / rows_per_word + 1, m.ScaleColumns()), sizeof(uint32_t));
    }
    return m.zero == 0 && HasBytes(m.zeros, bytes) ? OkStatus() : Wrong("does not fit its zero points");
  }

  const DerivedExtent& derived_;
  const std::vector<const Extent*>& stored_;
};

}  // namespace

Status CheckDerived(const DerivedExtent& derived, const std::vector<const Extent*>& stored) {
  return Checker(derived, stored).Check();
}

}  // namespace entrofs::archive
