#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "base/bytes.h"

namespace entrofs {

// An owned, uninitialized block of memory. Movable, not copyable. Contents survive a move, not a Reserve that grows.
// Throws std::bad_alloc when memory is short.
class Buffer {
 public:
  static constexpr size_t kAlignment = 64;
  // Of blocks of at least this size.
  static constexpr size_t kPageBytes = 4096;

  Buffer() = default;
  explicit Buffer(size_t size) { Reserve(size); }

  // Makes at least `size` bytes available; keeps the block, and so its place in the CPU cache, when it is large enough.
  void Reserve(size_t size) {
    if (size > capacity_) {
      data_.reset();
      capacity_ = 0;
      const std::align_val_t alignment{size < kPageBytes ? kAlignment : kPageBytes};
      data_ = Data(static_cast<uint8_t*>(::operator new(size, alignment)), Free{alignment});
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
    Free() : alignment{kAlignment} {}
    explicit Free(std::align_val_t of_block) : alignment(of_block) {}
    void operator()(uint8_t* p) const { ::operator delete(p, alignment); }
    std::align_val_t alignment;
  };
  using Data = std::unique_ptr<uint8_t[], Free>;

  Data data_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace entrofs
