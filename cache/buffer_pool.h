#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "base/buffer.h"

namespace entrofs::cache {

// Buffers handed out again last in, first out, so that the memory a decoder writes next is what the CPU cache still
// holds. Thread-safe.
class BufferPool {
 public:
  // Keeps at most `idle_limit_bytes` of unused buffers.
  explicit BufferPool(size_t idle_limit_bytes);

  // A buffer of `size` bytes with unspecified contents and a capacity of at most twice that. Throws std::bad_alloc.
  Buffer Acquire(size_t size);
  void Release(Buffer buffer) noexcept;

  // Frees unused buffers.
  void Trim();

 private:
  const size_t idle_limit_bytes_;
  std::mutex mutex_;
  std::vector<Buffer> idle_;
  size_t idle_bytes_ = 0;
};

// A buffer that goes back to its pool. The pool lives as long as the last lease. Movable.
class BufferLease {
 public:
  BufferLease() = default;
  BufferLease(std::shared_ptr<BufferPool> pool, size_t size) : pool_(std::move(pool)), buffer_(pool_->Acquire(size)) {}
  ~BufferLease() {
    if (pool_) pool_->Release(std::move(buffer_));
  }
  BufferLease(BufferLease&& other) noexcept = default;
  BufferLease& operator=(BufferLease&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(buffer_, other.buffer_);
    return *this;
  }

  Buffer& operator*() { return buffer_; }
  Buffer* operator->() { return &buffer_; }
  const Buffer* operator->() const { return &buffer_; }

 private:
  std::shared_ptr<BufferPool> pool_;
  Buffer buffer_;
};

}  // namespace entrofs::cache
