#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/file_descriptor.h"
#include "base/result.h"

namespace entrofs::fs {

// Files that are decoded whole into memory when somebody opens them, for a kernel that then reads that memory by itself
// instead of asking (FUSE passthrough; a *backing* is such memory, as the kernel knows it). What does not fit, cannot
// be decoded or is too small to be worth it is left to ordinary reads.
//
// One file is decoded at a time, the smallest of those that wait first. All who have a file open at a time get the same
// answer, because the kernel refuses anything else. Memory that nobody has open or mapped is given back after a while,
// or soon when memory is short. Thread-safe.
class DecodedFiles {
 public:
  using BackingId = uint32_t;
  // How an open is to be answered: read that memory, or (nullopt) ask for reads. Called once.
  using Answer = std::function<void(std::optional<BackingId>)>;
  // Called by threads that decode, with the bytes they have decoded since. An error: give up, with that error.
  using GoesOn = std::function<Status(uint64_t decoded_bytes)>;

  // What the rest of the program does for this one; all of it thread-safe.
  struct Actions {
    std::function<uint64_t(size_t file)> size_of;
    // Decodes all of a file into `plain`, of that size.
    std::function<Status(size_t file, MutableByteSpan plain, const GoesOn& goes_on)> decode;
    // An empty file in memory (MemoryFolder::NewFile).
    std::function<Result<FileDescriptor>()> new_memory;
    // Makes the kernel know that memory, and forget it.
    std::function<Result<BackingId>(int fd)> add_backing;
    std::function<void(BackingId)> remove_backing;
    // Bytes that could be taken without taking from others, where that is known.
    std::function<std::optional<uint64_t>()> available_bytes;
    // Whether processes wait for memory.
    std::function<bool()> memory_is_short;
  };

  // Smaller files gain nothing by it.
  static constexpr uint64_t kLeastFileBytes = 1 << 20;
  // What must stay available, besides an eighth of what is to be decoded.
  static constexpr uint64_t kSpareBytes = 16 << 20;
  struct Options {
    std::chrono::milliseconds kept_unused{60'000};
    // Files smaller than that do not wait for others: they are left to reads while another is being decoded.
    uint64_t least_bytes_that_wait = 64 << 20;
    // How often a decode looks whether memory is left.
    uint64_t bytes_between_looks = 64 << 20;
  };

  DecodedFiles(size_t file_count, Actions actions, const Options& options);
  // Answers everybody who waits, then gives all memory back.
  ~DecodedFiles();
  DecodedFiles(const DecodedFiles&) = delete;
  DecodedFiles& operator=(const DecodedFiles&) = delete;

  // Somebody opens the file. Never waits for decoding: `answer` is called at once, or by another thread when the file
  // is decoded. `wants_no_wait` is asked before waiting, with a lock held: true when whoever opens was interrupted
  // meanwhile. Every Open needs a Close after its answer.
  void Open(size_t file, Answer answer, const std::function<bool()>& wants_no_wait);
  void Close(size_t file);
  // Somebody who waits for the file is interrupted: all who wait for it are answered, without memory.
  void DontWait(size_t file);

  // Decoded bytes in memory.
  uint64_t bytes() const;

 private:
  using Clock = std::chrono::steady_clock;
  enum class State { kPlain, kQueued, kDecoding, kDecoded };
  struct File {
    State state = State::kPlain;
    bool shows_memory = false;  // to those who have it open
    bool is_corrupt = false;    // not to be tried again
    size_t handles = 0;         // answered or waiting
    std::vector<Answer> waiting;
    std::atomic<bool> stop{false};
    FileDescriptor memory;  // with `backing`: when decoded
    BackingId backing = 0;
    Clock::time_point unused_since;
  };
  struct Memory {
    FileDescriptor file;
    BackingId backing = 0;
  };

  // Of one decode.
  struct Progress {
    uint64_t promised_bytes = 0;  // what it has yet to take of promised_bytes_
    uint64_t bytes_since_look = 0;
  };

  void ChooseLocked(size_t file);
  bool MakeRoomLocked(uint64_t size);
  bool HasRoomFor(uint64_t bytes, uint64_t dropped_bytes = 0) const;
  void QueueLocked(size_t file);
  void Work();
  void DecodeNext(std::unique_lock<std::mutex>& lock);
  void KeepLocked(size_t file, Memory memory);
  Result<Memory> Decode(size_t file, Progress& progress);
  Status GoOn(size_t file, Progress& progress, uint64_t decoded_bytes);
  std::vector<size_t> UnusedLocked() const;
  FileDescriptor DropLocked(size_t file);
  std::vector<FileDescriptor> DropOldLocked();

  const Actions actions_;
  const Options options_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<File> files_;
  std::deque<size_t> queue_;
  bool is_decoding_ = false;
  uint64_t promised_bytes_ = 0;  // that files queued or being decoded have yet to take
  uint64_t decoded_bytes_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace entrofs::fs
