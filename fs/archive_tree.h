#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/file.h"
#include "fs/memory_watch.h"
#include "fs/mount_options.h"
#include "fs/page_filler.h"
#include "fs/served_tree.h"
#include "fs/status.h"
#include "fs/virtual_fs.h"

namespace entrofs::fs {

// An archive that is opened and ready to be mounted, whatever the engine. What it refers to must outlive the mount.
struct ServedArchive {
  VirtualFs& files;
  MountOptions options;  // complete: paths are absolute, threads is not 0
  FileAccess access;     // the archive's owner and permissions, which its files show
  const MemoryWatch& memory;
  std::function<uint64_t()> resident_bytes;  // of the archive, held in memory (options.archive_memory)
};

// The permissions of files and folders that whoever may read `archive_mode` may have.
uint32_t ModeMask(uint32_t archive_mode);

// The archive's files, read by requests. The engines add to it.
class ArchiveTree : public ServedTree {
 public:
  // `folder`: where the FUSE mount is going to be. Starts the thread of the page filler (options.fill_pages), with the
  // signals that end a mount blocked. `archive` must outlive this.
  ArchiveTree(const ServedArchive& archive, std::string engine, std::string folder);
  // The mount must answer or be gone: see PageFiller.
  ~ArchiveTree() override = default;

  const std::string& folder() const { return folder_; }

  RequestLimits Limits() const override { return {archive_.options.max_read_bytes, std::nullopt}; }
  void Begin(const Connection& /*connection*/) override {}
  void End() override {}
  const FileTree& Listing() const override { return archive_.files.tree(); }
  std::optional<struct stat> Lookup(InodeNumber folder, std::string_view name) const override;
  std::optional<struct stat> Attributes(InodeNumber inode) const override;
  struct statvfs Totals() const override;
  void Open(InodeNumber inode, OpenAnswer answer, const std::function<bool()>& is_interrupted) override;
  void DontWait(InodeNumber /*inode*/) override {}
  void Close(InodeNumber /*inode*/) override {}
  Status Read(const ReadRequest& request, const ReadAnswer& answer) override;
  std::string StatusText() const override { return EncodeStatus(MakeStatus()); }

 protected:
  const ServedArchive& archive() const { return archive_; }
  virtual MountStatus MakeStatus() const;

 private:
  struct stat StatOf(const Node& node) const;
  std::unique_ptr<PageFiller> MakeFiller() const;
  void NoteRead(const ReadRequest& request, uint64_t given_bytes) noexcept;

  const ServedArchive& archive_;
  const std::string engine_;
  const std::string folder_;
  const uint32_t mode_mask_;
  const std::unique_ptr<PageFiller> filler_;  // null: what surrounds reads is left alone
};

// Sets a counter of a status that has them all.
void SetCounter(MountStatus& status, Counter counter, uint64_t value);

}  // namespace entrofs::fs
