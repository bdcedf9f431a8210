#include "packer/analyze/column_files.h"

#include <algorithm>
#include <cstring>

namespace entrofs::packer::analyze {
namespace {

// Rows are read in blocks of about this size.
constexpr uint64_t kBlockBytes = 256 << 10;

struct Geometry {
  std::shared_ptr<const RandomAccessFile> bytes;
  uint64_t element_bytes;
  uint64_t rows;
  uint64_t row_bytes;
  std::vector<uint64_t> columns;
};

Geometry GeometryOf(const tree::OutputTensor& matrix, const std::vector<uint64_t>& columns) {
  const uint64_t element_bytes = source::BitWidth(matrix.dtype) / 8;
  return {matrix.bytes, element_bytes, matrix.shape[0], matrix.shape[1] * element_bytes, columns};
}

class ZeroedColumns : public RandomAccessFile {
 public:
  explicit ZeroedColumns(Geometry geometry) : geometry_(std::move(geometry)) {}

  Status ReadAt(uint64_t offset, MutableByteSpan out) const override {
    ENTROFS_RETURN_IF_ERROR(geometry_.bytes->ReadAt(offset, out));
    const uint64_t end = offset + out.size();
    for (uint64_t row = offset / geometry_.row_bytes; row * geometry_.row_bytes < end; ++row) {
      for (uint64_t column : geometry_.columns) {
        const uint64_t from = row * geometry_.row_bytes + column * geometry_.element_bytes;
        const uint64_t first = std::max(from, offset), last = std::min(from + geometry_.element_bytes, end);
        if (first < last) std::memset(out.data() + (first - offset), 0, last - first);
      }
    }
    return OkStatus();
  }
  uint64_t size() const override { return geometry_.bytes->size(); }

 private:
  const Geometry geometry_;
};

class GatheredColumns : public RandomAccessFile {
 public:
  explicit GatheredColumns(Geometry geometry)
      : geometry_(std::move(geometry)), gathered_row_bytes_(geometry_.columns.size() * geometry_.element_bytes) {}

  Status ReadAt(uint64_t offset, MutableByteSpan out) const override {
    if (out.empty()) return OkStatus();
    const uint64_t end = offset + out.size();
    const uint64_t end_row = (end + gathered_row_bytes_ - 1) / gathered_row_bytes_;
    const uint64_t block_rows = std::max<uint64_t>(1, kBlockBytes / geometry_.row_bytes);
    std::vector<uint8_t> block;
    for (uint64_t row = offset / gathered_row_bytes_; row < end_row; row += block_rows) {
      const uint64_t rows = std::min(block_rows, end_row - row);
      block.resize(rows * geometry_.row_bytes);
      ENTROFS_RETURN_IF_ERROR(geometry_.bytes->ReadAt(row * geometry_.row_bytes, block));
      for (uint64_t i = 0; i < rows; ++i) Gather(block.data() + i * geometry_.row_bytes, row + i, offset, out);
    }
    return OkStatus();
  }
  uint64_t size() const override { return geometry_.rows * gathered_row_bytes_; }

 private:
  // Copies the part of a row's gathered elements that lies in `out`, which begins at `offset`.
  void Gather(const uint8_t* row_bytes, uint64_t row, uint64_t offset, MutableByteSpan out) const {
    for (size_t i = 0; i < geometry_.columns.size(); ++i) {
      const uint64_t to = row * gathered_row_bytes_ + i * geometry_.element_bytes;
      const uint64_t first = std::max(to, offset), last = std::min(to + geometry_.element_bytes, offset + out.size());
      if (first >= last) continue;
      const uint8_t* element = row_bytes + geometry_.columns[i] * geometry_.element_bytes;
      std::memcpy(out.data() + (first - offset), element + (first - to), last - first);
    }
  }

  const Geometry geometry_;
  const uint64_t gathered_row_bytes_;
};

}  // namespace

tree::OutputTensor WithoutColumns(const tree::OutputTensor& matrix, const std::vector<uint64_t>& columns) {
  tree::OutputTensor rest = matrix;
  if (!columns.empty()) rest.bytes = std::make_shared<ZeroedColumns>(GeometryOf(matrix, columns));
  return rest;
}

tree::OutputTensor OnlyColumns(const tree::OutputTensor& matrix, const std::vector<uint64_t>& columns) {
  tree::OutputTensor only = matrix;
  only.name += ".outliers";
  only.shape = {matrix.shape[0], columns.size()};
  only.bytes = std::make_shared<GatheredColumns>(GeometryOf(matrix, columns));
  only.weight_count = 0;
  return only;
}

}  // namespace entrofs::packer::analyze
