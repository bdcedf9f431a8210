#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "fs/file_tree.h"

namespace entrofs::fs {

// The tree of folders and files that a FUSE mount answers with; each engine has one of its own. It must outlive the
// mount. Thread-safe.
class ServedTree {
 public:
  // What the kernel may ask for.
  struct RequestLimits {
    uint32_t max_read_bytes = 1 << 20;
    std::optional<unsigned> max_background;  // requests handed over before any is answered; otherwise libfuse's choice
  };
  struct Connection {
    int fd = -1;                       // to the kernel, for the calls of passthrough.h; open until End
    std::optional<uint64_t> mount_id;  // MountIdAt of the mount; nullopt where the kernel gives none
  };
  // Memory that the kernel reads in the place of a file, as the kernel knows it (passthrough.h).
  using BackingId = uint32_t;
  // Answers an open: with the file's memory, or nullopt for one that is read by Read. Called once, by any thread. False
  // when whoever opened was interrupted; then nobody closes the file.
  using OpenAnswer = std::function<bool(std::optional<BackingId>)>;
  struct ReadRequest {
    InodeNumber inode = 0;
    uint64_t offset_bytes = 0;
    size_t size_bytes = 0;
    bool is_cached = true;  // the kernel keeps the bytes in its page cache
  };
  // Answers a read with its bytes, in order, which stay readable until it returns.
  using ReadAnswer = std::function<void(std::span<const ByteSpan> parts)>;

  virtual ~ServedTree() = default;

  virtual RequestLimits Limits() const = 0;
  // Called when the mount exists and serves nothing yet, and when it serves nothing any more.
  virtual void Begin(const Connection& connection) = 0;
  virtual void End() = 0;

  // Names and folders, as they are listed.
  virtual const FileTree& Listing() const = 0;
  // The attributes of a name in a folder, st_ino its inode; nullopt when there is none.
  virtual std::optional<struct stat> Lookup(InodeNumber folder, std::string_view name) const = 0;
  virtual std::optional<struct stat> Attributes(InodeNumber inode) const = 0;
  virtual struct statvfs Totals() const = 0;

  // Opens a file for reading. `is_interrupted` may be asked until the answer. Every open needs a Close, unless its
  // answer returned false.
  virtual void Open(InodeNumber inode, OpenAnswer answer, const std::function<bool()>& is_interrupted) = 0;
  // Somebody who waits for an answer is interrupted.
  virtual void DontWait(InodeNumber inode) = 0;
  virtual void Close(InodeNumber inode) = 0;
  // Calls `answer` with the bytes wanted, cut at the file's end and never short otherwise, or returns an error. Blocks.
  virtual Status Read(const ReadRequest& request, const ReadAnswer& answer) = 0;

  // The value of kStatusAttribute (status.h).
  virtual std::string StatusText() const = 0;
};

}  // namespace entrofs::fs
