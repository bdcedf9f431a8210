#include "cache/buffer_pool.h"

#include <gtest/gtest.h>

namespace entrofs::cache {
namespace {

TEST(BufferPool, HandsOutTheLastReturnedFirst) {
  BufferPool pool(1 << 20);
  Buffer a = pool.Acquire(64 << 10);
  Buffer b = pool.Acquire(64 << 10);
  const uint8_t* a_data = a.data();
  const uint8_t* b_data = b.data();
  pool.Release(std::move(a));
  pool.Release(std::move(b));
  Buffer first = pool.Acquire(64 << 10);
  Buffer second = pool.Acquire(60 << 10);
  EXPECT_EQ(first.data(), b_data);
  EXPECT_EQ(second.data(), a_data);
  EXPECT_EQ(second.size(), 60u << 10);
}

TEST(BufferPool, NeverGivesALargeBufferForASmallNeed) {
  BufferPool pool(4 << 20);
  pool.Release(Buffer(1 << 20));
  EXPECT_EQ(pool.Acquire(64 << 10).capacity(), 64u << 10);
}

TEST(BufferPool, KeepsNoMoreThanItsLimit) {
  BufferPool pool(1 << 20);
  Buffer a = pool.Acquire(1 << 20);
  Buffer b = pool.Acquire(1 << 20);
  const uint8_t* a_data = a.data();
  pool.Release(std::move(a));
  pool.Release(std::move(b));
  EXPECT_EQ(pool.Acquire(1 << 20).data(), a_data);
}

TEST(BufferLease, OutlivesThePoolOfItsMaker) {
  auto pool = std::make_shared<BufferPool>(1 << 20);
  BufferLease lease(pool, 100);
  BufferLease moved = std::move(lease);
  pool.reset();
  EXPECT_EQ(moved->size(), 100u);
}

}  // namespace
}  // namespace entrofs::cache
