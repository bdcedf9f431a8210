#include "packer/quantize/forms/matrix_files.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "packer/quantize/arithmetic/float_formats.h"

namespace entrofs::packer::quantize::forms {
namespace {

constexpr uint8_t kSignBit = 0x80;

// A file whose bytes are computed: checks the range once for all of them.
class ComputedFile : public RandomAccessFile {
 public:
  ComputedFile(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix, uint64_t size)
      : matrix_(std::move(matrix)), size_(size) {}

  Status ReadAt(uint64_t offset, MutableByteSpan out) const final {
    if (offset > size_ || out.size() > size_ - offset) {
      return Error{ErrorCode::kCorrupt, "read past the end of " + std::to_string(size_) + " computed bytes"};
    }
    return out.empty() ? OkStatus() : Compute(offset, out);
  }
  uint64_t size() const final { return size_; }

 protected:
  // Requires: a range inside the file that is not empty.
  virtual Status Compute(uint64_t offset, MutableByteSpan out) const = 0;
  const arithmetic::QuantizedMatrix& matrix() const { return *matrix_; }

 private:
  const std::shared_ptr<const arithmetic::QuantizedMatrix> matrix_;
  const uint64_t size_;
};

class SignedBytes : public ComputedFile {
 public:
  using ComputedFile::ComputedFile;

 protected:
  Status Compute(uint64_t offset, MutableByteSpan out) const override {
    ENTROFS_RETURN_IF_ERROR(matrix().ReadCodes(offset, out.size(), out.data()));
    for (uint8_t& code : out) code ^= kSignBit;
    return OkStatus();
  }
};

class PackedCodes : public ComputedFile {
 public:
  PackedCodes(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix, uint64_t row_bytes)
      : ComputedFile(matrix, matrix->shape().rows * row_bytes), row_bytes_(row_bytes) {
    codes_per_byte_ = 8 / static_cast<unsigned>(this->matrix().bits());
    columns_ = this->matrix().shape().columns;
    // Rows that fill their words follow one another without gaps, so the matrix reads as one long row.
    if (columns_ == row_bytes_ * codes_per_byte_) {
      columns_ = this->matrix().shape().element_count();
      row_bytes_ = size();
    }
  }

 protected:
  Status Compute(uint64_t offset, MutableByteSpan out) const override {
    while (!out.empty()) {
      uint64_t row = offset / row_bytes_, column = offset % row_bytes_;
      size_t count = std::min<uint64_t>({out.size(), row_bytes_ - column, kMaxBytesAtOnce});
      ENTROFS_RETURN_IF_ERROR(ComputeInRow(row, column, out.first(count)));
      out = out.subspan(count);
      offset += count;
    }
    return OkStatus();
  }

 private:
  static constexpr uint64_t kMaxBytesAtOnce = 256 << 10;

  Status ComputeInRow(uint64_t row, uint64_t first_byte, MutableByteSpan out) const {
    uint64_t begin = std::min(first_byte * codes_per_byte_, columns_);
    uint64_t end = std::min((first_byte + out.size()) * codes_per_byte_, columns_);
    if (codes_per_byte_ == 1) {
      std::fill(out.begin() + static_cast<ptrdiff_t>(end - begin), out.end(), uint8_t{0});
      return matrix().ReadCodes(row * columns_ + begin, end - begin, out.data());
    }
    std::vector<uint8_t> codes(out.size() * 2, 0);
    ENTROFS_RETURN_IF_ERROR(matrix().ReadCodes(row * columns_ + begin, end - begin, codes.data()));
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<uint8_t>(codes[2 * i] | codes[2 * i + 1] << 4);
    }
    return OkStatus();
  }

  uint64_t row_bytes_;
  uint64_t codes_per_byte_;
  uint64_t columns_;
};

// Parameters as a matrix of [rows, per_row] entries, whether each entry has a run of its own or all share one.
class ParameterFile : public ComputedFile {
 public:
  ParameterFile(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix, uint64_t per_row, uint64_t size)
      : ComputedFile(std::move(matrix), size), per_row_(per_row) {}

 protected:
  uint64_t per_row() const { return per_row_; }
  Result<std::vector<arithmetic::Affine>> Entries(uint64_t begin, uint64_t count) const {
    std::vector<arithmetic::Affine> affines(count);
    const uint64_t entry_length = matrix().shape().columns / per_row_;
    if (matrix().run_length() == entry_length) {
      ENTROFS_RETURN_IF_ERROR(matrix().ReadAffines(begin, count, affines.data()));
      return affines;
    }
    // A run covers several entries.
    uint64_t known = matrix().run_count();
    arithmetic::Affine affine;
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t run = (begin + i) * entry_length / matrix().run_length();
      if (run != known) ENTROFS_RETURN_IF_ERROR(matrix().ReadAffines(run, 1, &affine));
      known = run;
      affines[i] = affine;
    }
    return affines;
  }

 private:
  const uint64_t per_row_;
};

// A float of the matrix's dtype per entry.
class FloatParameters : public ParameterFile {
 public:
  using ParameterFile::ParameterFile;

 protected:
  virtual float ValueOf(const arithmetic::Affine& affine) const = 0;

  Status Compute(uint64_t offset, MutableByteSpan out) const override {
    const size_t width = arithmetic::ByteWidth(matrix().dtype());
    const uint64_t begin = offset / width, end = (offset + out.size() + width - 1) / width;
    ENTROFS_ASSIGN_OR_RETURN(std::vector<arithmetic::Affine> affines, Entries(begin, end - begin));
    std::vector<uint8_t> encoded(affines.size() * width);
    for (size_t i = 0; i < affines.size(); ++i) {
      arithmetic::EncodeFloat(matrix().dtype(), ValueOf(affines[i]), encoded.data() + i * width);
    }
    std::copy_n(encoded.begin() + static_cast<ptrdiff_t>(offset - begin * width), out.size(), out.begin());
    return OkStatus();
  }
};

class Scales : public FloatParameters {
 public:
  using FloatParameters::FloatParameters;

 protected:
  float ValueOf(const arithmetic::Affine& affine) const override { return affine.scale; }
};

class Biases : public FloatParameters {
 public:
  using FloatParameters::FloatParameters;

 protected:
  float ValueOf(const arithmetic::Affine& affine) const override {
    return arithmetic::RoundFloat(matrix().dtype(), -static_cast<float>(affine.zero_point) * affine.scale);
  }
};

class PackedZeroPoints : public ParameterFile {
 public:
  using ParameterFile::ParameterFile;

 protected:
  Status Compute(uint64_t offset, MutableByteSpan out) const override {
    const uint64_t row_bytes = per_row() * sizeof(uint32_t);
    while (!out.empty()) {
      uint64_t word_row = offset / row_bytes, in_row = offset % row_bytes;
      size_t count = std::min<uint64_t>(out.size(), row_bytes - in_row);
      uint64_t begin = in_row / sizeof(uint32_t), end = (in_row + count + sizeof(uint32_t) - 1) / sizeof(uint32_t);
      ENTROFS_ASSIGN_OR_RETURN(std::vector<uint8_t> words, Words(word_row, begin, end));
      std::copy_n(words.begin() + static_cast<ptrdiff_t>(in_row - begin * sizeof(uint32_t)), count, out.begin());
      out = out.subspan(count);
      offset += count;
    }
    return OkStatus();
  }

 private:
  Result<std::vector<uint8_t>> Words(uint64_t word_row, uint64_t begin, uint64_t end) const {
    const uint64_t bits = static_cast<uint64_t>(matrix().bits());
    const uint64_t rows_per_word = 32 / bits;
    std::vector<uint32_t> words(end - begin, 0);
    for (uint64_t i = 0; i < rows_per_word; ++i) {
      uint64_t row = word_row * rows_per_word + i;
      if (row >= matrix().shape().rows) break;
      ENTROFS_ASSIGN_OR_RETURN(std::vector<arithmetic::Affine> affines, Entries(row * per_row() + begin, end - begin));
      for (size_t j = 0; j < words.size(); ++j) words[j] |= static_cast<uint32_t>(affines[j].zero_point) << (i * bits);
    }
    std::vector<uint8_t> bytes(words.size() * sizeof(uint32_t));
    for (size_t j = 0; j < words.size(); ++j) StoreLe(bytes.data() + j * sizeof(uint32_t), words[j]);
    return bytes;
  }
};

}  // namespace

uint64_t PackedWordsPerRow(const arithmetic::QuantizedMatrix& matrix) {
  return (matrix.shape().columns * static_cast<uint64_t>(matrix.bits()) + 31) / 32;
}

uint64_t PackedZeroPointRows(const arithmetic::QuantizedMatrix& matrix) {
  return (matrix.shape().rows * static_cast<uint64_t>(matrix.bits()) + 31) / 32;
}

std::shared_ptr<const RandomAccessFile> SignedBytesOf(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix) {
  uint64_t size = matrix->shape().element_count();
  return std::make_shared<SignedBytes>(std::move(matrix), size);
}

std::shared_ptr<const RandomAccessFile> PackedCodesOf(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix) {
  uint64_t row_bytes = PackedWordsPerRow(*matrix) * sizeof(uint32_t);
  return std::make_shared<PackedCodes>(std::move(matrix), row_bytes);
}

std::shared_ptr<const RandomAccessFile> ScalesOf(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix,
                                                 uint64_t scales_per_row) {
  uint64_t size = matrix->shape().rows * scales_per_row * arithmetic::ByteWidth(matrix->dtype());
  return std::make_shared<Scales>(std::move(matrix), scales_per_row, size);
}

std::shared_ptr<const RandomAccessFile> BiasesOf(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix,
                                                 uint64_t scales_per_row) {
  uint64_t size = matrix->shape().rows * scales_per_row * arithmetic::ByteWidth(matrix->dtype());
  return std::make_shared<Biases>(std::move(matrix), scales_per_row, size);
}

std::shared_ptr<const RandomAccessFile> PackedZeroPointsOf(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix,
                                                           uint64_t scales_per_row) {
  uint64_t size = PackedZeroPointRows(*matrix) * scales_per_row * sizeof(uint32_t);
  return std::make_shared<PackedZeroPoints>(std::move(matrix), scales_per_row, size);
}

}  // namespace entrofs::packer::quantize::forms
