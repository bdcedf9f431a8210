#pragma once

#include <memory>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace entrofs::packer::quantize::arithmetic {

// Codes that cannot be computed again piece by piece, kept in a file without a name in $TMPDIR or /tmp, which is gone
// when the store is. Thread-safe.
class CodeStore : public RandomAccessFile {
 public:
  // For `size` codes. kIo, also when the disk is full.
  static Result<std::shared_ptr<CodeStore>> Create(uint64_t size);
  ~CodeStore() override;

  Status Write(uint64_t offset, ByteSpan codes);

  Status ReadAt(uint64_t offset, MutableByteSpan out) const override;
  uint64_t size() const override { return size_; }

 private:
  CodeStore(int descriptor, uint64_t size) : descriptor_(descriptor), size_(size) {}

  const int descriptor_;
  const uint64_t size_;
};

}  // namespace entrofs::packer::quantize::arithmetic
