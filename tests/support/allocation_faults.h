#pragma once

#include <cstdint>

// Fails single allocations. A program that links this has its operator new replaced by one that counts and, when a test
// wants it, throws std::bad_alloc; malloc is as ever.
namespace entrofs::testing_support {

// Counts allocations of all threads from here on and makes number `at` of them (from 0) fail.
void StartAllocationFaults(uint64_t at);
// Ends it; true when an allocation failed.
bool StopAllocationFaults();

// Bytes allocated and not freed by operator new and delete of all threads, in excess of those when this was called
// last, at the worst moment since.
void StartAllocationPeak();
uint64_t AllocationPeak();

}  // namespace entrofs::testing_support
