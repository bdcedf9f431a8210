#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/bytes.h"

namespace entrofs {

// A file's bytes in memory. A page is read when it is touched first. Where that fails (the file was cut, the disk is
// broken) the kernel would end the process with SIGBUS; instead the whole mapping turns to zeroes, for good, and
// holds() says so from then on. Thread-safe.
class FileMapping {
 public:
  // The first `size` bytes of the open file `fd`, which may be closed afterwards. Null when the kernel refuses, or when
  // a few dozen mappings exist already. Replaces the process's action for SIGBUS once; faults elsewhere still reach
  // the action found then.
  static std::unique_ptr<FileMapping> Map(int fd, uint64_t size);
  ~FileMapping();
  FileMapping(const FileMapping&) = delete;
  FileMapping& operator=(const FileMapping&) = delete;

  // The bytes [offset, offset + length), or nothing when they go beyond the last page.
  ByteSpan View(uint64_t offset, uint64_t length) const;

  // Whether every byte seen so far was the file's. Ask after a view was used: if not, what was made of it is void.
  bool holds() const;

  // Hint: the bytes are not needed in this process any longer. They can still be read.
  void Forget(uint64_t offset, uint64_t length) const;

 private:
  FileMapping(uint8_t* data, uint64_t readable_bytes) : data_(data), readable_bytes_(readable_bytes) {}

  uint8_t* const data_;
  const uint64_t readable_bytes_;  // whole pages
  std::atomic<bool>* lost_ = nullptr;
};

}  // namespace entrofs
