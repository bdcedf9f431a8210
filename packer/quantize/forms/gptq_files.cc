#include "packer/quantize/forms/gptq_files.h"

#include <algorithm>
#include <functional>
#include <mutex>

#include "base/bytes.h"
#include "packer/quantize/arithmetic/code_store.h"
#include "packer/quantize/arithmetic/float_formats.h"

namespace entrofs::packer::quantize::forms {
namespace {

// A file that is made at the first read.
class MadeFile : public RandomAccessFile {
 public:
  using Make = std::function<Result<std::vector<uint8_t>>()>;
  MadeFile(uint64_t size, Make make) : size_(size), make_(std::move(make)) {}

  Status ReadAt(uint64_t offset, MutableByteSpan out) const override {
    {
      std::lock_guard lock(mutex_);
      if (!store_) ENTROFS_RETURN_IF_ERROR(Fill());
    }
    return store_->ReadAt(offset, out);
  }
  uint64_t size() const override { return size_; }

 private:
  Status Fill() const {
    ENTROFS_ASSIGN_OR_RETURN(std::vector<uint8_t> bytes, make_());
    ENTROFS_ASSIGN_OR_RETURN(std::shared_ptr<arithmetic::CodeStore> store, arithmetic::CodeStore::Create(size_));
    ENTROFS_RETURN_IF_ERROR(store->Write(0, bytes));
    store_ = std::move(store);
    return OkStatus();
  }

  const uint64_t size_;
  const Make make_;
  mutable std::mutex mutex_;  // guards store_ until it is there
  mutable std::shared_ptr<arithmetic::CodeStore> store_;
};

uint64_t CodesPerWord(const arithmetic::QuantizedMatrix& matrix) { return 32 / static_cast<uint64_t>(matrix.bits()); }

Result<std::vector<uint8_t>> MakeCodes(const arithmetic::QuantizedMatrix& matrix) {
  const uint64_t rows = matrix.shape().rows, columns = matrix.shape().columns;
  const uint64_t per_word = CodesPerWord(matrix), bits = static_cast<uint64_t>(matrix.bits());
  std::vector<uint8_t> bytes(columns / per_word * rows * sizeof(uint32_t));
  std::vector<uint8_t> codes(columns);
  for (uint64_t row = 0; row < rows; ++row) {
    ENTROFS_RETURN_IF_ERROR(matrix.ReadCodes(row * columns, columns, codes.data()));
    for (uint64_t j = 0; j < columns; j += per_word) {
      uint32_t word = 0;
      for (uint64_t i = 0; i < per_word; ++i) word |= static_cast<uint32_t>(codes[j + i]) << (i * bits);
      StoreLe(bytes.data() + (j / per_word * rows + row) * sizeof(uint32_t), word);
    }
  }
  return bytes;
}

// Calls use(group, row, affine) for each.
template <typename Use>
Status VisitGroups(const arithmetic::QuantizedMatrix& matrix, uint64_t groups, const Use& use) {
  const uint64_t rows = matrix.shape().rows, group_length = matrix.shape().columns / groups;
  // Runs that cover several groups, or even all rows, are read once for each row.
  const uint64_t runs_per_row = std::max<uint64_t>(1, matrix.shape().columns / matrix.run_length());
  std::vector<arithmetic::Affine> affines(runs_per_row);
  for (uint64_t row = 0; row < rows; ++row) {
    const uint64_t first_run = row * matrix.shape().columns / matrix.run_length();
    ENTROFS_RETURN_IF_ERROR(matrix.ReadAffines(first_run, runs_per_row, affines.data()));
    for (uint64_t group = 0; group < groups; ++group) {
      use(group, row, affines[group * group_length / matrix.run_length() % runs_per_row]);
    }
  }
  return OkStatus();
}

}  // namespace

std::shared_ptr<const RandomAccessFile> GptqCodesOf(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix) {
  const uint64_t size = matrix->shape().element_count() / CodesPerWord(*matrix) * sizeof(uint32_t);
  return std::make_shared<MadeFile>(size, [matrix] { return MakeCodes(*matrix); });
}

std::shared_ptr<const RandomAccessFile> GptqZeroPointsOf(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix,
                                                         uint64_t groups) {
  const uint64_t per_word = CodesPerWord(*matrix), words = matrix->shape().rows / per_word;
  const uint64_t size = groups * words * sizeof(uint32_t);
  return std::make_shared<MadeFile>(size, [=]() -> Result<std::vector<uint8_t>> {
    std::vector<uint32_t> packed(groups * words);
    const auto bits = static_cast<uint64_t>(matrix->bits());
    ENTROFS_RETURN_IF_ERROR(
        VisitGroups(*matrix, groups, [&](uint64_t group, uint64_t row, const arithmetic::Affine& affine) {
          packed[group * words + row / per_word] |= static_cast<uint32_t>(affine.zero_point - 1)
                                                    << (row % per_word * bits);
        }));
    std::vector<uint8_t> bytes(size);
    for (size_t i = 0; i < packed.size(); ++i) StoreLe(bytes.data() + i * sizeof(uint32_t), packed[i]);
    return bytes;
  });
}

std::shared_ptr<const RandomAccessFile> GptqScalesOf(std::shared_ptr<const arithmetic::QuantizedMatrix> matrix,
                                                     uint64_t groups) {
  const uint64_t rows = matrix->shape().rows, size = groups * rows * arithmetic::ByteWidth(source::Dtype::kF16);
  return std::make_shared<MadeFile>(size, [=]() -> Result<std::vector<uint8_t>> {
    std::vector<uint8_t> bytes(size);
    ENTROFS_RETURN_IF_ERROR(
        VisitGroups(*matrix, groups, [&](uint64_t group, uint64_t row, const arithmetic::Affine& affine) {
          arithmetic::EncodeFloat(source::Dtype::kF16, arithmetic::RoundFloat(source::Dtype::kF16, affine.scale),
                                  bytes.data() + (group * rows + row) * arithmetic::ByteWidth(source::Dtype::kF16));
        }));
    return bytes;
  });
}

}  // namespace entrofs::packer::quantize::forms
