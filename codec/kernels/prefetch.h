#pragma once

#include "codec/kernels/kernels.h"

// Output that is not in the cache: a store to it waits for the line, and CPUs do not look far enough ahead to have it
// when it is needed. In an anonymous namespace, because each kernel file needs a copy for its own CPU.
namespace entrofs::codec {
namespace {

// How far ahead of its stores a kernel asks for lines: the time it takes to come by these bytes is that of memory.
constexpr size_t kPrefetchOutputBytes = 2048;

// Asks for the line at `line`, to be written.
inline __attribute__((always_inline)) void PrefetchLine(const uint8_t* line) {
#ifdef __x86_64__
  asm volatile("prefetchw %0" : : "m"(*line));  // the builtin is this only when compiled for CPUs that have it for sure
#else
  __builtin_prefetch(line, 1);
#endif
}

// Asks for the `bytes` (a multiple of 64) at `output` + kPrefetchOutputBytes.
inline __attribute__((always_inline)) void PrefetchOutput(const uint8_t* output, size_t bytes) {
#pragma GCC unroll 4
  for (size_t i = 0; i < bytes; i += 64) PrefetchLine(output + kPrefetchOutputBytes + i);
}

// Asks for one round's share.
inline __attribute__((always_inline)) void AskAhead(Ahead& ahead) {
  for (size_t range = 0; range < ahead.reads; ++range) {
    Ahead::Range& read = ahead.read[range];
    for (size_t i = 0; i < read.bytes_per_round; i += 64) __builtin_prefetch(read.at + i);
    read.at += read.bytes_per_round;
  }
  for (size_t i = 0; i < ahead.write.bytes_per_round; i += 64) PrefetchLine(ahead.write.at + i);
  ahead.write.at += ahead.write.bytes_per_round;
}

}  // namespace
}  // namespace entrofs::codec
