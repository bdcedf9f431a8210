#include "fs/fuse_ops.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fs/passthrough.h"
#include "fs/served_tree.h"
#include "fs/status.h"

namespace entrofs::fs {
namespace {

// Nothing ever changes under a mount, so the kernel may remember names and attributes for good.
constexpr double kForeverSeconds = 365.0 * 24 * 3600;

// The one place where errors become errno.
int ErrnoOf(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
      return EINVAL;
    case ErrorCode::kNotFound:
      return ENOENT;
    case ErrorCode::kAlreadyExists:
      return EEXIST;
    case ErrorCode::kUnsupported:
      return ENOTSUP;
    case ErrorCode::kNoMemory:
      return ENOMEM;
    case ErrorCode::kCancelled:
      return EINTR;
    case ErrorCode::kCorrupt:
    case ErrorCode::kIo:
      break;
  }
  return EIO;
}

ServedTree& TreeOf(fuse_req_t req) { return *static_cast<ServedTree*>(fuse_req_userdata(req)); }

// Runs a callback's body, which replies as its last act. An exception thrown before becomes the reply.
template <typename Body>
void Guarded(fuse_req_t req, const Body& body) noexcept {
  try {
    body();
  } catch (const std::bad_alloc&) {
    fuse_reply_err(req, ENOMEM);
  } catch (const std::exception&) {
    fuse_reply_err(req, EIO);
  }
}

void OnInit(void* userdata, fuse_conn_info* connection) noexcept {
  const ServedTree::RequestLimits limits = static_cast<const ServedTree*>(userdata)->Limits();
  connection->max_read = limits.max_read_bytes;  // as the mount option says
  connection->max_background = limits.max_background.value_or(connection->max_background);
  // Replies are written from memory; splicing measured slower.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
  // Files never change, so the kernel need not look.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_AUTO_INVAL_DATA);
  connection->want |= connection->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS);
}

void OnLookup(fuse_req_t req, fuse_ino_t parent, const char* name) noexcept {
  Guarded(req, [&] {
    const std::optional<struct stat> found = TreeOf(req).Lookup(parent, name);
    fuse_entry_param entry = {};
    entry.entry_timeout = entry.attr_timeout = kForeverSeconds;
    if (found) entry.attr = *found;
    entry.ino = entry.attr.st_ino;
    fuse_reply_entry(req, &entry);  // inode 0: does not exist, and the kernel may remember that
  });
}

void OnGetAttributes(fuse_req_t req, fuse_ino_t inode, fuse_file_info* /*file*/) noexcept {
  Guarded(req, [&] {
    const std::optional<struct stat> found = TreeOf(req).Attributes(inode);
    if (!found) return void(fuse_reply_err(req, ENOENT));
    fuse_reply_attr(req, &*found, kForeverSeconds);
  });
}

// Called by libfuse; `data` is the file's inode.
void OnOpenInterrupted(fuse_req_t req, void* data) { TreeOf(req).DontWait(reinterpret_cast<uintptr_t>(data)); }

void OnOpen(fuse_req_t req, fuse_ino_t inode, fuse_file_info* file) noexcept {
  if ((file->flags & O_ACCMODE) != O_RDONLY) return void(fuse_reply_err(req, EROFS));
  Guarded(req, [&] {
    const auto answer = [req, info = *file](std::optional<ServedTree::BackingId> backing) mutable {
      info.keep_cache = 1;
      const int result = backing ? ReplyOpenWithBacking(req, *backing) : fuse_reply_open(req, &info);
      return result != -ENOENT;
    };
    fuse_req_interrupt_func(req, OnOpenInterrupted, reinterpret_cast<void*>(inode));
    TreeOf(req).Open(inode, answer, [req] { return fuse_req_interrupted(req) != 0; });
  });
}

void OnRelease(fuse_req_t req, fuse_ino_t inode, fuse_file_info* /*file*/) noexcept {
  ServedTree& tree = TreeOf(req);  // outlives the request
  fuse_reply_err(req, 0);
  tree.Close(inode);
}

void OnOpenFolder(fuse_req_t req, fuse_ino_t /*inode*/, fuse_file_info* file) noexcept {
  file->keep_cache = 1;
  file->cache_readdir = 1;
  fuse_reply_open(req, file);
}

void ReplyBytes(fuse_req_t req, std::span<const ByteSpan> bytes) {
  std::vector<iovec> parts;
  parts.reserve(bytes.size());
  for (ByteSpan part : bytes) parts.push_back({const_cast<uint8_t*>(part.data()), part.size()});
  fuse_reply_iov(req, parts.data(), static_cast<int>(parts.size()));
}

void OnRead(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, fuse_file_info* file) noexcept {
  const ServedTree::ReadRequest request = {inode, static_cast<uint64_t>(offset), size, (file->flags & O_DIRECT) == 0};
  Guarded(req, [&] {
    const Status status = TreeOf(req).Read(request, [req](std::span<const ByteSpan> bytes) { ReplyBytes(req, bytes); });
    if (status.ok()) return;
    spdlog::error("read of inode {} at {}+{}: {}", inode, offset, size, status.error().message);
    fuse_reply_err(req, ErrnoOf(status.error()));
  });
}

// Appends one entry of a folder; false when it does not fit any more.
bool AddEntry(fuse_req_t req, std::string& listing, size_t limit, const std::string& name, const Node& node,
              off_t next_offset) {
  struct stat info = {};
  info.st_ino = node.inode;
  info.st_mode = node.is_folder() ? S_IFDIR : S_IFREG;
  size_t at = listing.size();
  size_t bytes = fuse_add_direntry(req, nullptr, 0, name.c_str(), nullptr, 0);
  if (at + bytes > limit) return false;
  listing.resize(at + bytes);
  fuse_add_direntry(req, listing.data() + at, bytes, name.c_str(), &info, next_offset);
  return true;
}

// An offset is the number of entries before: ".", "..", then the children.
void OnReadFolder(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, fuse_file_info* /*file*/) noexcept {
  Guarded(req, [&] {
    const FileTree& tree = TreeOf(req).Listing();
    const Node* folder = tree.Find(inode);
    if (folder == nullptr || !folder->is_folder()) return void(fuse_reply_err(req, ENOTDIR));
    std::string listing;
    listing.reserve(std::min<size_t>(size, 64 << 10));
    for (auto i = static_cast<size_t>(std::max<off_t>(offset, 0)); i < folder->children.size() + 2; ++i) {
      const Node& node = i == 0 ? *folder : i == 1 ? *tree.Find(folder->parent) : *tree.Find(folder->children[i - 2]);
      std::string name = i == 0 ? "." : i == 1 ? ".." : node.name;
      if (!AddEntry(req, listing, size, name, node, static_cast<off_t>(i + 1))) break;
    }
    fuse_reply_buf(req, listing.data(), listing.size());
  });
}

void OnStatFs(fuse_req_t req, fuse_ino_t /*inode*/) noexcept {
  Guarded(req, [&] {
    const struct statvfs info = TreeOf(req).Totals();
    fuse_reply_statfs(req, &info);
  });
}

void OnGetAttribute(fuse_req_t req, fuse_ino_t inode, const char* name, size_t size) noexcept {
  Guarded(req, [&] {
    if (inode != kRootInode || std::strcmp(name, kStatusAttribute) != 0) return void(fuse_reply_err(req, ENODATA));
    const std::string text = TreeOf(req).StatusText();
    if (size == 0) return void(fuse_reply_xattr(req, text.size()));
    if (size < text.size()) return void(fuse_reply_err(req, ERANGE));
    fuse_reply_buf(req, text.data(), text.size());
  });
}

}  // namespace

const fuse_lowlevel_ops& FuseOperations() {
  static const fuse_lowlevel_ops kOperations = [] {
    fuse_lowlevel_ops operations = {};
    operations.init = OnInit;
    operations.lookup = OnLookup;
    operations.getattr = OnGetAttributes;
    operations.open = OnOpen;
    operations.release = OnRelease;
    operations.opendir = OnOpenFolder;
    operations.read = OnRead;
    operations.readdir = OnReadFolder;
    operations.statfs = OnStatFs;
    operations.getxattr = OnGetAttribute;
    return operations;
  }();
  return kOperations;
}

}  // namespace entrofs::fs
