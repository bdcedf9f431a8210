#pragma once

#include <cstdint>

// Fails single system calls of base/file.cc. A program that links this replaces the C library's wrappers of the calls
// below by ones that count, and that fail the call a test names; all other calls go to the kernel as ever.
namespace entrofs::testing_support {

enum class Call : uint8_t { kOpen, kFstat, kLseek, kRead, kWrite, kFsync, kRename, kUnlink };
const char* Name(Call call);

// What the chosen call does instead of its work.
enum class Fault : uint8_t {
  kError,      // fails with `error_number`, nothing done
  kInterrupt,  // fails with EINTR, nothing done
  kShort,      // reads or writes one byte only; other calls do their work
  kZero,       // a write that returns 0, a read that finds the end; other calls do their work
  kCorrupt,    // a write of other bytes, which succeeds: a disk that lies; only writes are counted
  kSignal,     // does its work; then a signal ends the process: RemoveUncommittedFiles and _exit(kSignalledExit)
};

inline constexpr int kSignalledExit = 99;

// Counts calls of the calling thread from here on, and makes number `at` of them (from 0) fail. One at a time.
void StartFaults(uint64_t at, Fault fault, int error_number);
struct FaultReport {
  uint64_t call_count;
  bool happened;
  Call call;  // that failed, if happened
};
// Ends it.
FaultReport StopFaults();

// How often umask(2), which changes the mask of all threads, was called since the program began.
uint64_t UmaskCalls();

}  // namespace entrofs::testing_support
