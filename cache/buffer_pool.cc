#include "cache/buffer_pool.h"

#include <utility>

namespace entrofs::cache {
namespace {

// Smaller buffers are cheap to allocate and would only lengthen the search.
constexpr size_t kWorthKeepingBytes = 16 << 10;

}  // namespace

BufferPool::BufferPool(size_t idle_limit_bytes) : idle_limit_bytes_(idle_limit_bytes) {
  idle_.reserve(idle_limit_bytes / kWorthKeepingBytes);  // so that Release never allocates
}

Buffer BufferPool::Acquire(size_t size) {
  {
    std::lock_guard lock(mutex_);
    // Newest first; the list is short because idle_limit_bytes_ is.
    for (size_t i = idle_.size(); i-- > 0;) {
      if (idle_[i].capacity() < size || idle_[i].capacity() / 2 > size) continue;
      Buffer buffer = std::move(idle_[i]);
      idle_.erase(idle_.begin() + static_cast<ptrdiff_t>(i));
      idle_bytes_ -= buffer.capacity();
      buffer.Reserve(size);
      return buffer;
    }
  }
  return Buffer(size);
}

void BufferPool::Release(Buffer buffer) noexcept {
  if (buffer.capacity() == 0) return;
  std::lock_guard lock(mutex_);
  if (buffer.capacity() < kWorthKeepingBytes || idle_bytes_ + buffer.capacity() > idle_limit_bytes_) return;
  idle_bytes_ += buffer.capacity();
  idle_.push_back(std::move(buffer));
}

void BufferPool::Trim() {
  std::vector<Buffer> freed;
  freed.reserve(idle_limit_bytes_ / kWorthKeepingBytes);
  std::lock_guard lock(mutex_);
  idle_.swap(freed);
  idle_bytes_ = 0;
}

}  // namespace entrofs::cache
