#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>

#include "base/result.h"

// Files that measurements make, copy and take away again.
namespace entrofs::bench {

// A new folder that goes with all it holds.
class ScratchFolder {
 public:
  // Below TMPDIR, or /var/tmp: a disk, not memory. `keep` (may be empty) is a folder to use instead; it stays.
  static Result<ScratchFolder> Make(const std::string& keep);
  ~ScratchFolder();
  ScratchFolder(ScratchFolder&& other) noexcept
      : path_(std::exchange(other.path_, {})), is_kept_(std::exchange(other.is_kept_, true)) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  const std::string& path() const { return path_; }

 private:
  ScratchFolder(std::string path, bool is_kept) : path_(std::move(path)), is_kept_(is_kept) {}
  std::string path_;
  bool is_kept_;
};

// A file without a name, which goes when this process ends however it ends.
class NamelessFile {
 public:
  // In `folder`, with the first `size_bytes` of `from`, written by pieces of `piece_bytes` and then synced. The file
  // system makes its pages as large as the pieces, so pieces of 4 KiB leave a page cache of small pages.
  static Result<NamelessFile> Copy(const std::string& folder, const std::string& from, uint64_t size_bytes,
                                   size_t piece_bytes);
  ~NamelessFile();
  NamelessFile(NamelessFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  NamelessFile& operator=(NamelessFile&&) = delete;
  // What this process and its children can open.
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  explicit NamelessFile(int fd) : fd_(fd) {}
  int fd_;
};

// Reads all of `path`, so that it is in the page cache.
Status FillPageCache(const std::string& path);
// Writes what is unwritten of `path` and drops it from the page cache.
void DropFromPageCache(const std::string& path);
// kCorrupt unless both files begin with the same `size_bytes`.
Status CompareFiles(const std::string& a, const std::string& b, uint64_t size_bytes);

// "ext4", "tmpfs", ...: the file system that `path` is on.
std::string FileSystemName(const std::string& path);

// Memory for what is measured. A virtual machine may return free memory to its host, and getting it back costs more
// than most of what is measured here. So this takes `bytes` of memory, writes to them, and gives them back as they are
// used up: hosts take much free memory at once. `in_large_pages`: as it will be used, for the kernel keeps free memory
// by size.
class PretouchedMemory {
 public:
  PretouchedMemory(uint64_t bytes, bool in_large_pages);
  // Gives back the rest.
  ~PretouchedMemory();
  PretouchedMemory(const PretouchedMemory&) = delete;
  PretouchedMemory& operator=(const PretouchedMemory&) = delete;

 private:
  void GiveBackWhileUsed();

  const uint64_t bytes_;
  uint8_t* data_ = nullptr;
  std::atomic<bool> ends_{false};
  std::thread thread_;
};

}  // namespace entrofs::bench
