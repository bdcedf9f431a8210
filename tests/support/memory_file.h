#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"

// Files in memory, for tests of what reads and writes files.
namespace entrofs::testing_support {

// A file of these bytes.
class MemoryFile : public RandomAccessFile {
 public:
  explicit MemoryFile(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {}

  Status ReadAt(uint64_t offset, MutableByteSpan out) const override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset) {
      return Error{ErrorCode::kCorrupt, "memory: file is shorter than " + std::to_string(offset + out.size())};
    }
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return OkStatus();
  }
  uint64_t size() const override { return bytes_.size(); }

 private:
  const std::vector<uint8_t> bytes_;
};

// A new file whose bytes appear in `*committed` on Commit.
class MemoryNewFile : public NewFile {
 public:
  // `committed` must outlive the file.
  explicit MemoryNewFile(std::vector<uint8_t>* committed) : committed_(committed) {}

  Status Append(ByteSpan bytes) override {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return OkStatus();
  }
  uint64_t size() const override { return bytes_.size(); }
  Status Commit() override {
    *committed_ = bytes_;
    return OkStatus();
  }
  const std::string& temporary_path() const override { return path_; }
  Status Flush() override { return OkStatus(); }

 private:
  std::vector<uint8_t>* const committed_;
  std::vector<uint8_t> bytes_;
  const std::string path_ = "memory";
};

}  // namespace entrofs::testing_support
