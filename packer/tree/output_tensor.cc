#include "packer/tree/output_tensor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/parallel.h"

namespace entrofs::packer::tree {
namespace {

Error PastEnd(uint64_t end, uint64_t size) {
  return Error{ErrorCode::kCorrupt,
               "read up to byte " + std::to_string(end) + " of a range of " + std::to_string(size) + " bytes"};
}

bool Inside(uint64_t offset, uint64_t count, uint64_t size) { return offset <= size && count <= size - offset; }

class FileSlice : public RandomAccessFile {
 public:
  FileSlice(std::shared_ptr<const RandomAccessFile> file, uint64_t offset, uint64_t size)
      : file_(std::move(file)), offset_(offset), size_(size) {}

  Status ReadAt(uint64_t offset, MutableByteSpan out) const override {
    if (!Inside(offset, out.size(), size_)) return PastEnd(offset + out.size(), size_);
    return file_->ReadAt(offset_ + offset, out);
  }
  uint64_t size() const override { return size_; }
  void DropCached(uint64_t offset, uint64_t length) const override { file_->DropCached(offset_ + offset, length); }

 private:
  const std::shared_ptr<const RandomAccessFile> file_;
  const uint64_t offset_;
  const uint64_t size_;
};

class MemoryFile : public RandomAccessFile {
 public:
  explicit MemoryFile(Buffer bytes) : bytes_(std::move(bytes)) {}

  Status ReadAt(uint64_t offset, MutableByteSpan out) const override {
    if (!Inside(offset, out.size(), bytes_.size())) return PastEnd(offset + out.size(), bytes_.size());
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return OkStatus();
  }
  uint64_t size() const override { return bytes_.size(); }

 private:
  const Buffer bytes_;
};

constexpr uint64_t kChunkBytes = 1 << 20;

}  // namespace

double QuantizationError::SqnrDb() const {
  if (noise_energy <= 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(signal_energy / noise_energy);
}

std::shared_ptr<const RandomAccessFile> SliceOf(std::shared_ptr<const RandomAccessFile> file, uint64_t offset,
                                                uint64_t count) {
  return std::make_shared<FileSlice>(std::move(file), offset, count);
}

Result<std::shared_ptr<const RandomAccessFile>> InMemory(const RandomAccessFile& bytes, ThreadPool& pool) {
  Buffer copy(bytes.size());
  ENTROFS_RETURN_IF_ERROR(ParallelForStatus(pool, (copy.size() + kChunkBytes - 1) / kChunkBytes, [&](size_t i) {
    const uint64_t offset = i * kChunkBytes;
    return bytes.ReadAt(offset, copy.span().subspan(offset, std::min<uint64_t>(kChunkBytes, copy.size() - offset)));
  }));
  return std::shared_ptr<const RandomAccessFile>(std::make_shared<MemoryFile>(std::move(copy)));
}

std::shared_ptr<const RandomAccessFile> BytesInMemory(std::vector<uint8_t> bytes) {
  Buffer copy(bytes.size());
  std::copy(bytes.begin(), bytes.end(), copy.data());
  return BufferInMemory(std::move(copy));
}

std::shared_ptr<const RandomAccessFile> BufferInMemory(Buffer bytes) {
  return std::make_shared<MemoryFile>(std::move(bytes));
}

}  // namespace entrofs::packer::tree
