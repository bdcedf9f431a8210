#include "fs/fuse_ops.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <new>

#include "fs/passthrough.h"
#include "fs/status.h"

namespace entrofs::fs {
namespace {

// Nothing ever changes under a mount, so the kernel may remember names and attributes for good.
constexpr double kForeverSeconds = 365.0 * 24 * 3600;
constexpr uint64_t kBlockBytes = 4096;
// Requests of EROFS that the kernel hands over before we have answered any: a few windows of its read-ahead.
constexpr unsigned kErofsRequests = 64;

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

FuseContext& ContextOf(fuse_req_t req) { return *static_cast<FuseContext*>(fuse_req_userdata(req)); }

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

struct stat StatOf(const FuseContext& context, const Node& node) {
  struct stat info;
  std::memset(&info, 0, sizeof info);
  info.st_ino = node.inode;
  info.st_mode = (node.mode & context.mode_mask) | (node.is_folder() ? S_IFDIR : S_IFREG);
  info.st_nlink = node.is_folder() ? 2 + node.folder_count : 1;
  info.st_uid = context.owner;
  info.st_gid = context.group;
  info.st_size = static_cast<off_t>(node.size_bytes);
  info.st_blksize = static_cast<blksize_t>(context.options.max_read_bytes);
  info.st_blocks = static_cast<blkcnt_t>((node.size_bytes + 511) / 512);
  info.st_mtim.tv_sec = node.mtime_ns / 1'000'000'000;
  info.st_mtim.tv_nsec = node.mtime_ns % 1'000'000'000;
  if (info.st_mtim.tv_nsec < 0) {
    info.st_mtim.tv_nsec += 1'000'000'000;
    --info.st_mtim.tv_sec;
  }
  info.st_atim = info.st_ctim = info.st_mtim;
  return info;
}

void OnInit(void* userdata, fuse_conn_info* connection) noexcept {
  const FuseContext& context = *static_cast<FuseContext*>(userdata);
  connection->max_read = context.options.max_read_bytes;  // as the mount option says
  if (context.image != nullptr) connection->max_background = kErofsRequests;
  // Replies are written from memory; splicing measured slower.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
  // Files never change, so the kernel need not look.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_AUTO_INVAL_DATA);
  connection->want |= connection->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS);
}

// Of the image: for root alone, who mounts it.
struct stat StatOf(const ImageFile& image) {
  struct stat info = {};
  info.st_ino = ImageFile::kInode;
  info.st_mode = S_IFREG | 0400;
  info.st_nlink = 1;
  info.st_size = static_cast<off_t>(image.size_bytes());
  return info;
}

bool IsImage(const FuseContext& context, fuse_ino_t inode) {
  return context.image != nullptr && inode == ImageFile::kInode;
}

void OnLookup(fuse_req_t req, fuse_ino_t parent, const char* name) noexcept {
  Guarded(req, [&] {
    FuseContext& context = ContextOf(req);
    const Node* node = context.files.tree().FindChild(parent, name);
    fuse_entry_param entry;
    std::memset(&entry, 0, sizeof entry);
    entry.entry_timeout = entry.attr_timeout = kForeverSeconds;
    if (context.image != nullptr && parent == kRootInode && std::strcmp(name, ImageFile::kName) == 0) {
      entry.ino = ImageFile::kInode;
      entry.attr = StatOf(*context.image);
    } else if (node != nullptr) {
      entry.ino = node->inode;
      entry.attr = StatOf(context, *node);
    }
    fuse_reply_entry(req, &entry);  // inode 0: does not exist, and the kernel may remember that
  });
}

void OnGetAttributes(fuse_req_t req, fuse_ino_t inode, fuse_file_info* /*file*/) noexcept {
  Guarded(req, [&] {
    FuseContext& context = ContextOf(req);
    const Node* node = context.files.tree().Find(inode);
    if (node == nullptr && !IsImage(context, inode)) return void(fuse_reply_err(req, ENOENT));
    struct stat info = node != nullptr ? StatOf(context, *node) : StatOf(*context.image);
    fuse_reply_attr(req, &info, kForeverSeconds);
  });
}

void ReplyOpen(fuse_req_t req, fuse_file_info* file, const FuseContext& context, InodeNumber inode) {
  ImageFile* image = IsImage(context, inode) ? context.image : nullptr;
  if (image != nullptr) image->NoteOpen();
  file->keep_cache = 1;
  // Whoever wanted to open it may have been interrupted; then nobody closes it.
  if (fuse_reply_open(req, file) == -ENOENT && image != nullptr) image->NoteClose();
}

// Called by libfuse; `data` is the file's place in the index.
void OnOpenInterrupted(fuse_req_t req, void* data) {
  ContextOf(req).decoded->DontWait(reinterpret_cast<uintptr_t>(data));
}

// Answers when the file is decoded, or at once when it is not going to be.
void OpenDecoded(fuse_req_t req, const fuse_file_info* file, DecodedFiles& decoded, size_t index) {
  const auto answer = [req, info = *file, &decoded, index](std::optional<DecodedFiles::BackingId> backing) mutable {
    info.keep_cache = 1;
    const int result = backing ? ReplyOpenWithBacking(req, *backing) : fuse_reply_open(req, &info);
    if (result == -ENOENT) decoded.Close(index);  // interrupted: nobody else will
  };
  fuse_req_interrupt_func(req, OnOpenInterrupted, reinterpret_cast<void*>(index));
  decoded.Open(index, answer, [req] { return fuse_req_interrupted(req) != 0; });
}

void OnOpen(fuse_req_t req, fuse_ino_t inode, fuse_file_info* file) noexcept {
  if ((file->flags & O_ACCMODE) != O_RDONLY) return void(fuse_reply_err(req, EROFS));
  const FuseContext& context = ContextOf(req);
  const Node* node = context.files.tree().Find(inode);
  if (context.decoded == nullptr || node == nullptr) return ReplyOpen(req, file, context, inode);
  Guarded(req, [&] { OpenDecoded(req, file, *context.decoded, node->file); });
}

void OnRelease(fuse_req_t req, fuse_ino_t inode, fuse_file_info* /*file*/) noexcept {
  const FuseContext& context = ContextOf(req);  // outlives the request
  fuse_reply_err(req, 0);
  if (IsImage(context, inode)) context.image->NoteClose();
  const Node* node = context.files.tree().Find(inode);
  if (context.decoded != nullptr && node != nullptr) context.decoded->Close(node->file);
}

void OnOpenFolder(fuse_req_t req, fuse_ino_t /*inode*/, fuse_file_info* file) noexcept {
  file->keep_cache = 1;
  file->cache_readdir = 1;
  fuse_reply_open(req, file);
}

// `reply` is of VirtualFs::Read or ImageFile::Read.
template <typename Reply>
void ReplyRead(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, const Result<Reply>& reply) {
  if (!reply) {
    spdlog::error("read of inode {} at {}+{}: {}", inode, offset, size, reply.error().message);
    return void(fuse_reply_err(req, ErrnoOf(reply.error())));
  }
  std::vector<iovec> parts;
  parts.reserve(reply->parts().size());
  for (ByteSpan part : reply->parts()) parts.push_back({const_cast<uint8_t*>(part.data()), part.size()});
  fuse_reply_iov(req, parts.data(), static_cast<int>(parts.size()));
}

void OnRead(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, fuse_file_info* file) noexcept {
  const bool is_cached = (file->flags & O_DIRECT) == 0;
  Guarded(req, [&] {
    const FuseContext& context = ContextOf(req);
    auto at = static_cast<uint64_t>(offset);
    if (IsImage(context, inode)) return ReplyRead(req, inode, size, offset, context.image->Read(at, size));
    Result<ReadReply> reply = context.files.Read(inode, at, size);
    const bool fills = context.filler != nullptr && is_cached && reply.ok() && reply->size() > 0;
    const uint64_t end = fills ? at + reply->size() : at;
    ReplyRead(req, inode, size, offset, reply);
    if (!fills) return;
    if (size <= PageFiller::kSmallBytes) return context.filler->OnSmallRead(inode, at);
    context.filler->OnLargeRead(inode, {at, end});
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
    const FileTree& tree = ContextOf(req).files.tree();
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
    const VirtualFs& files = ContextOf(req).files;
    struct statvfs info = {};
    info.f_bsize = info.f_frsize = kBlockBytes;
    for (const archive::VirtualFile& file : files.index().files) {
      info.f_blocks += (file.size_bytes + kBlockBytes - 1) / kBlockBytes;
    }
    info.f_files = files.tree().size();
    info.f_namemax = 255;
    fuse_reply_statfs(req, &info);
  });
}

MountStatus StatusOf(const FuseContext& context) {
  MountStatus status;
  status.facts = {{"archive", context.options.archive_path},
                  {"mount_point", context.options.mount_point},
                  {"engine", context.image != nullptr     ? "erofs"
                             : context.decoded != nullptr ? "memory"
                                                          : "fuse"},
                  {"plain_files", context.folder},
                  {"pid", std::to_string(::getpid())}};
  if (context.resident_archive != nullptr) {
    const bool locked = context.options.archive_memory == ArchiveMemory::kLocked;
    status.facts.emplace_back("archive_in_memory", locked ? "locked" : "yes");
  }
  CounterValues values = context.files.counters();
  auto set = [&](Counter counter, uint64_t value) { values[static_cast<size_t>(counter)] = value; };
  if (context.memory != nullptr) set(Counter::kMemoryShortages, context.memory->shortage_count());
  if (context.decoded != nullptr) set(Counter::kDecodedMemoryBytes, context.decoded->bytes());
  if (context.filler != nullptr) set(Counter::kFilledBytes, context.filler->filled_bytes());
  if (context.resident_archive != nullptr) {
    set(Counter::kArchiveMemoryBytes, context.resident_archive->resident_bytes());
  }
  for (size_t i = 0; i < kCounterCount; ++i) status.counters.emplace_back(kCounterInfo[i].name, values[i]);
  return status;
}

void OnGetAttribute(fuse_req_t req, fuse_ino_t inode, const char* name, size_t size) noexcept {
  Guarded(req, [&] {
    if (inode != kRootInode || std::strcmp(name, kStatusAttribute) != 0) return void(fuse_reply_err(req, ENODATA));
    std::string text = EncodeStatus(StatusOf(ContextOf(req)));
    if (size == 0) return void(fuse_reply_xattr(req, text.size()));
    if (size < text.size()) return void(fuse_reply_err(req, ERANGE));
    fuse_reply_buf(req, text.data(), text.size());
  });
}

}  // namespace

uint32_t ModeMask(uint32_t archive_mode) {
  uint32_t readable = archive_mode & 0444;
  return readable | readable >> 2 | 0400 | 0100;
}

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
