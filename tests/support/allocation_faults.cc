#include "tests/support/allocation_faults.h"

#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace entrofs::testing_support {
namespace {

constexpr uint64_t kNever = UINT64_MAX;
std::atomic<uint64_t> fail_at{kNever};
std::atomic<uint64_t> count{0};
std::atomic<int64_t> live_bytes{0};
std::atomic<int64_t> peak_bytes{0};
std::atomic<int64_t> start_bytes{0};

void NoteSize(int64_t bytes) {
  const int64_t live = live_bytes += bytes;
  for (int64_t peak = peak_bytes; live > peak && !peak_bytes.compare_exchange_weak(peak, live);) {
  }
}

void* Allocate(size_t size, size_t alignment) {
  if (fail_at != kNever && count++ == fail_at) throw std::bad_alloc();
  void* block = nullptr;
  if (::posix_memalign(&block, alignment, size > 0 ? size : 1) != 0) throw std::bad_alloc();
  NoteSize(static_cast<int64_t>(::malloc_usable_size(block)));
  return block;
}

void Free(void* block) {
  if (block != nullptr) NoteSize(-static_cast<int64_t>(::malloc_usable_size(block)));
  std::free(block);
}

}  // namespace

void StartAllocationFaults(uint64_t at) {
  count = 0;
  fail_at = at;
}

bool StopAllocationFaults() {
  uint64_t at = fail_at.exchange(kNever);
  return count > at;
}

void StartAllocationPeak() {
  start_bytes = live_bytes.load();
  peak_bytes = live_bytes.load();
}

uint64_t AllocationPeak() { return static_cast<uint64_t>(peak_bytes - start_bytes); }

}  // namespace entrofs::testing_support

using entrofs::testing_support::Allocate;
using entrofs::testing_support::Free;

void* operator new(size_t size) { return Allocate(size, alignof(std::max_align_t)); }
void* operator new[](size_t size) { return Allocate(size, alignof(std::max_align_t)); }
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  try {
    return Allocate(size, alignof(std::max_align_t));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new[](size_t size, const std::nothrow_t& tag) noexcept { return operator new(size, tag); }
void* operator new(size_t size, std::align_val_t alignment) { return Allocate(size, static_cast<size_t>(alignment)); }
void* operator new[](size_t size, std::align_val_t alignment) { return Allocate(size, static_cast<size_t>(alignment)); }
void operator delete(void* block) noexcept { Free(block); }
void operator delete[](void* block) noexcept { Free(block); }
void operator delete(void* block, size_t) noexcept { Free(block); }
void operator delete[](void* block, size_t) noexcept { Free(block); }
void operator delete(void* block, std::align_val_t) noexcept { Free(block); }
void operator delete[](void* block, std::align_val_t) noexcept { Free(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { Free(block); }
void operator delete[](void* block, size_t, std::align_val_t) noexcept { Free(block); }
