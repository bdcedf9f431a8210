#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

// Files as the archive reader and writer see them. The interfaces exist so that tests can put failing or recording
// files in their place.
namespace entrofs {

// Whose a file is and who may read it.
struct FileAccess {
  uint32_t owner = 0;
  uint32_t group = 0;
  uint32_t mode = 0400;  // the permission bits
};

// A file that is read at arbitrary offsets. Thread-safe.
class RandomAccessFile {
 public:
  virtual ~RandomAccessFile() = default;

  // Fills all of `out` from `offset`. A file that ends before is kCorrupt ("file is shorter than ..."), a failed read
  // is kIo. Blocks.
  virtual Status ReadAt(uint64_t offset, MutableByteSpan out) const = 0;

  // The length when the file was opened.
  virtual uint64_t size() const = 0;

  // Of the file that was opened, whatever its path leads to by now. Bytes that are no file are root's alone.
  virtual FileAccess access() const { return {}; }

  // Hint: the bytes are not needed in the page cache any longer.
  virtual void DropCached(uint64_t /*offset*/, uint64_t /*length*/) const {}

  // The bytes where they lie in memory, without a copy; nothing unless the file is mapped there and the bytes, as far
  // as can be told cheaply, are in memory already, or when that would go beyond its end. They count only if ViewsHold()
  // is still true after they were used: when they cannot be read, zeroes appear in their place.
  virtual ByteSpan View(uint64_t /*offset*/, uint64_t /*length*/) const { return {}; }
  virtual bool ViewsHold() const { return false; }
};

// Opens `path` for reading (O_CLOEXEC; links are followed); it must be a regular file or block device, and is not
// waited for where it is a pipe (kInvalidArgument). kNotFound or kIo.
Result<std::unique_ptr<RandomAccessFile>> OpenForReading(const std::string& path);
// The same, with views where the kernel allows them and nobody but this user and root may write the file.
Result<std::unique_ptr<RandomAccessFile>> OpenMapped(const std::string& path);

// A file under construction. Bytes go to a temporary file beside the final name; Commit makes them appear under that
// name whole (fsync, rename, fsync of the folder); destruction without Commit removes the temporary file.
// Not thread-safe.
class NewFile {
 public:
  virtual ~NewFile() = default;

  // Appends; after an error only destruction is allowed.
  virtual Status Append(ByteSpan bytes) = 0;
  // Bytes appended so far.
  virtual uint64_t size() const = 0;
  // Requires: not called before. Replaces an existing file of that name.
  virtual Status Commit() = 0;
  // Where the bytes are until Commit: what a verifying reader opens after Flush.
  virtual const std::string& temporary_path() const = 0;
  // Hands buffered bytes to the operating system.
  virtual Status Flush() = 0;
};

// A name beside `path` that nobody has: "<path>.<random letters>.tmp".
std::string TemporaryName(const std::string& path);

// Creates the temporary file for `path` (mode 0644 less umask), whose folder must exist. From before it exists it is
// known to RemoveUncommittedFiles.
Result<std::unique_ptr<NewFile>> CreateFile(const std::string& path);

// Removes the temporary files of every NewFile that is still open in this process. Async-signal-safe: what a handler
// for SIGINT or SIGTERM calls before it ends the process.
void RemoveUncommittedFiles() noexcept;

// The whole file in memory. kCorrupt when longer than `limit_bytes`.
Result<std::string> ReadWholeFile(const std::string& path, uint64_t limit_bytes);

// "<what> <path>: <strerror(errno_value)>" as kIo, kNotFound (ENOENT, ENOTDIR) or kNoMemory (ENOMEM).
Error SystemError(const std::string& what, int errno_value);

}  // namespace entrofs
