#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace entrofs::packer::source {

// Keeps the most recently read files of a checkpoint open, so that thousands of files need few descriptors.
// Thread-safe.
class OpenFiles {
 public:
  // `path` opened for reading, perhaps long ago.
  Result<std::shared_ptr<const RandomAccessFile>> Get(const std::string& path);

 private:
  static constexpr size_t kMaxOpen = 64;
  struct Entry {
    std::string path;
    std::shared_ptr<const RandomAccessFile> file;
  };
  std::mutex mutex_;
  std::list<Entry> entries_;  // most recently used first
};

// What stat(2) says about a file, as far as the packer cares.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size_bytes = 0;
  int64_t mtime_ns = 0;
  uint32_t mode = 0;  // permission bits
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

// Follows links. kNotFound or kIo.
Result<FileIdentity> IdentityOf(const std::string& path);

// A file of the checkpoint. Nothing is open until it is read. Thread-safe.
class SourceFile : public RandomAccessFile {
 public:
  // `open_files` is shared by the files of a checkpoint.
  SourceFile(std::string path, FileIdentity identity, std::shared_ptr<OpenFiles> open_files);

  Status ReadAt(uint64_t offset, MutableByteSpan out) const override;
  uint64_t size() const override { return identity_.size_bytes; }
  void DropCached(uint64_t offset, uint64_t length) const override;

  const std::string& path() const { return path_; }
  const FileIdentity& identity() const { return identity_; }

  // An error when the file under that name is another one, or was written to, since the checkpoint was scanned.
  Status CheckUnchanged() const;

 private:
  const std::string path_;
  const FileIdentity identity_;
  const std::shared_ptr<OpenFiles> open_files_;
};

}  // namespace entrofs::packer::source
