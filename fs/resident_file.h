#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "base/file.h"
#include "base/result.h"

namespace entrofs::fs {

// A file that is copied into this process's memory, in the background, so that later no read waits for storage. What is
// not there yet, or could not be read, comes from the file itself. Thread-safe.
class ResidentFile : public RandomAccessFile {
 public:
  explicit ResidentFile(std::unique_ptr<RandomAccessFile> file) : file_(std::move(file)) {}
  ~ResidentFile() override;

  // Takes memory for the whole file; call once, after any fork. `lock`: the memory must never be swapped. kNoMemory
  // when there is less free than the file takes, or the user may not lock it.
  Status Reserve(bool lock);
  // Then starts a thread that fills it.
  void Load();

  // How much is in memory.
  uint64_t resident_bytes() const { return resident_bytes_; }

  Status ReadAt(uint64_t offset, MutableByteSpan out) const override;
  uint64_t size() const override { return file_->size(); }
  FileAccess access() const override { return file_->access(); }
  void DropCached(uint64_t offset, uint64_t length) const override { file_->DropCached(offset, length); }
  ByteSpan View(uint64_t offset, uint64_t length) const override;
  bool ViewsHold() const override { return true; }

 private:
  void Work();

  const std::unique_ptr<RandomAccessFile> file_;
  uint8_t* memory_ = nullptr;  // of size(), and some readable bytes behind
  std::atomic<uint64_t> resident_bytes_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace entrofs::fs
