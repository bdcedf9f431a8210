#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "base/bytes.h"

namespace entrofs {

// An owned, 64-byte aligned, uninitialized block of memory. Movable, not copyable. Contents survive a move, not a
// Reserve that grows. Throws std::bad_alloc when memory is short.
class Buffer {
 public:
  static constexpr size_t kAlignment = 64;

  Buffer() = default;
  explicit Buffer(size_t size) { Reserve(size); }

  // Makes at least `size` bytes available; keeps the block, and so its place in the CPU cache, when it is large enough.
  void Reserve(size_t size) {
    if (size > capacity_) {
      data_.reset();
      capacity_ = 0;
      data_.reset(static_cast<uint8_t*>(::operator new (size, std::align_val_t{kAlignment})));
      capacity_ = size;
    }
    size_ = size;
  }

  uint8_t* data() { return data_.get(); }
  const uint8_t* data() const { return data_.get(); }
  // The size last asked for.
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  MutableByteSpan span() { return {data_.get(), size_}; }
  ByteSpan span() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(uint8_t* p) const { ::operator delete (p, std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<uint8_t[], Free> data_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace entrofs
