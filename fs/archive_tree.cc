#include "fs/archive_tree.h"

#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "fs/end_signals.h"

namespace entrofs::fs {
namespace {

constexpr uint64_t kBlockBytes = 4096;

// What the kernel reads ahead of the plain FUSE mount.
uint32_t ReadAheadKb(const MountOptions& options) {
  constexpr uint32_t kOfOrdinaryUsers = 128;
  const uint32_t wanted = options.read_ahead_kb.value_or(kFuseReadAheadKb);
  return ::geteuid() == 0 ? wanted : std::min(wanted, kOfOrdinaryUsers);
}

}  // namespace

uint32_t ModeMask(uint32_t archive_mode) {
  uint32_t readable = archive_mode & 0444;
  return readable | readable >> 2 | 0400 | 0100;
}

void SetCounter(MountStatus& status, Counter counter, uint64_t value) {
  status.counters[static_cast<size_t>(counter)].second = value;
}

ArchiveTree::ArchiveTree(const ServedArchive& archive, std::string engine, std::string folder)
    : archive_(archive),
      engine_(std::move(engine)),
      folder_(std::move(folder)),
      mode_mask_(ModeMask(archive.access.mode)),
      filler_(MakeFiller()) {}

std::unique_ptr<PageFiller> ArchiveTree::MakeFiller() const {
  if (!archive_.options.fill_pages) return nullptr;
  const VirtualFs& files = archive_.files;
  const auto node = [&files](uint64_t inode) { return files.tree().Find(inode); };
  PageFiller::Mount mount;
  mount.path_of = [this, node](uint64_t inode) {
    return folder_ + "/" + archive_.files.files()[node(inode)->file].path;
  };
  mount.segment_at = [&files](uint64_t inode, uint64_t offset) { return files.SegmentAt(inode, offset); };
  mount.size_of = [node](uint64_t inode) { return node(inode)->size_bytes; };
  mount.is_paused = [this] { return archive_.memory.is_short(); };
  mount.read_ahead_bytes = uint64_t{ReadAheadKb(archive_.options)} << 10;
  const EndSignalsBlocked blocked;
  return std::make_unique<PageFiller>(std::move(mount));
}

struct stat ArchiveTree::StatOf(const Node& node) const {
  struct stat info = {};
  info.st_ino = node.inode;
  info.st_mode = (node.mode & mode_mask_) | (node.is_folder() ? S_IFDIR : S_IFREG);
  info.st_nlink = node.is_folder() ? 2 + node.folder_count : 1;
  info.st_uid = archive_.access.owner;
  info.st_gid = archive_.access.group;
  info.st_size = static_cast<off_t>(node.size_bytes);
  info.st_blksize = static_cast<blksize_t>(archive_.options.max_read_bytes);
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

std::optional<struct stat> ArchiveTree::Lookup(InodeNumber folder, std::string_view name) const {
  const Node* node = Listing().FindChild(folder, name);
  if (node == nullptr) return std::nullopt;
  return StatOf(*node);
}

std::optional<struct stat> ArchiveTree::Attributes(InodeNumber inode) const {
  const Node* node = Listing().Find(inode);
  if (node == nullptr) return std::nullopt;
  return StatOf(*node);
}

struct statvfs ArchiveTree::Totals() const {
  struct statvfs info = {};
  info.f_bsize = info.f_frsize = kBlockBytes;
  for (const view::File& file : archive_.files.files()) {
    info.f_blocks += (file.size_bytes + kBlockBytes - 1) / kBlockBytes;
  }
  info.f_files = Listing().size();
  info.f_namemax = 255;
  return info;
}

void ArchiveTree::Open(InodeNumber /*inode*/, OpenAnswer answer, const std::function<bool()>& /*is_interrupted*/) {
  answer(std::nullopt);
}

Status ArchiveTree::Read(const ReadRequest& request, const ReadAnswer& answer) {
  ENTROFS_ASSIGN_OR_RETURN(const ReadReply reply,
                           archive_.files.Read(request.inode, request.offset_bytes, request.size_bytes));
  answer(reply.parts());
  NoteRead(request, reply.size());
  return OkStatus();
}

// Looks whether pages around a read are worth filling, which nobody waits for.
void ArchiveTree::NoteRead(const ReadRequest& request, uint64_t given_bytes) noexcept try {
  if (filler_ == nullptr || !request.is_cached || given_bytes == 0) return;
  if (request.size_bytes <= PageFiller::kSmallBytes) return filler_->OnSmallRead(request.inode, request.offset_bytes);
  filler_->OnLargeRead(request.inode, {request.offset_bytes, request.offset_bytes + given_bytes});
} catch (const std::bad_alloc&) {
  // Without memory there is nothing to fill.
}

MountStatus ArchiveTree::MakeStatus() const {
  const MountOptions& options = archive_.options;
  MountStatus status;
  status.facts = {{"archive", options.archive_path},
                  {"mount_point", options.mount_point},
                  {"engine", engine_},
                  {"plain_files", folder_},
                  {"pid", std::to_string(::getpid())}};
  if (options.archive_memory != ArchiveMemory::kNo) {
    status.facts.emplace_back("archive_in_memory", options.archive_memory == ArchiveMemory::kLocked ? "locked" : "yes");
  }
  const CounterValues values = archive_.files.counters();
  for (size_t i = 0; i < kCounterCount; ++i) status.counters.emplace_back(kCounterInfo[i].name, values[i]);
  SetCounter(status, Counter::kMemoryShortages, archive_.memory.shortage_count());
  SetCounter(status, Counter::kFilledBytes, filler_ != nullptr ? filler_->filled_bytes() : 0);
  SetCounter(status, Counter::kArchiveMemoryBytes, archive_.resident_bytes());
  return status;
}

}  // namespace entrofs::fs
