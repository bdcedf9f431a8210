// EROFS shows the files, from an image that is a file of our FUSE mount, which lies in a plain folder.

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "fs/engine.h"
#include "fs/erofs_image.h"
#include "fs/erofs_mount.h"
#include "fs/image_file.h"
#include "fs/mount_table.h"
#include "fs/plain_folder.h"
#include "fs/serve.h"
#include "fs/unmount.h"

namespace entrofs::fs {
namespace {

// Less makes the kernel wait for each window in turn.
constexpr uint32_t kErofsReadAheadKb = 16384;
// Requests of EROFS that the kernel hands over before we have answered any: a few windows of its read-ahead.
constexpr unsigned kErofsRequests = 64;

// The archive's files and, for root alone, who mounts it, the image.
class ErofsTree : public ArchiveTree {
 public:
  ErofsTree(const ServedArchive& archive, ErofsImage image)
      : ArchiveTree(archive, "erofs", PlainFolderFor(archive.options.mount_point)),
        image_(std::move(image), archive.files, [this] { RemoveFolder(); }) {}

  ImageFile& image() { return image_; }
  // Unless somebody else has mounted there since.
  void RemoveFolder() const {
    if (!mount_id_ || MountIdAt(folder()) == mount_id_) RemovePlainFolder(folder());
  }

  RequestLimits Limits() const override {
    RequestLimits limits = ArchiveTree::Limits();
    limits.max_background = kErofsRequests;
    return limits;
  }
  void Begin(const Connection& connection) override { mount_id_ = connection.mount_id; }

  std::optional<struct stat> Lookup(InodeNumber folder, std::string_view name) const override {
    if (folder == kRootInode && name == ImageFile::kName) return ImageAttributes();
    return ArchiveTree::Lookup(folder, name);
  }
  std::optional<struct stat> Attributes(InodeNumber inode) const override {
    return inode == ImageFile::kInode ? ImageAttributes() : ArchiveTree::Attributes(inode);
  }
  void Open(InodeNumber inode, OpenAnswer answer, const std::function<bool()>& is_interrupted) override {
    if (inode != ImageFile::kInode) return ArchiveTree::Open(inode, std::move(answer), is_interrupted);
    image_.NoteOpen();
    if (!answer(std::nullopt)) image_.NoteClose();
  }
  void Close(InodeNumber inode) override {
    if (inode == ImageFile::kInode) image_.NoteClose();
  }
  Status Read(const ReadRequest& request, const ReadAnswer& answer) override {
    if (request.inode != ImageFile::kInode) return ArchiveTree::Read(request, answer);
    ENTROFS_ASSIGN_OR_RETURN(const ImageFile::Reply reply, image_.Read(request.offset_bytes, request.size_bytes));
    answer(reply.parts());
    return OkStatus();
  }

 private:
  struct stat ImageAttributes() const {
    struct stat info = {};
    info.st_ino = ImageFile::kInode;
    info.st_mode = S_IFREG | 0400;
    info.st_nlink = 1;
    info.st_size = static_cast<off_t>(image_.size_bytes());
    return info;
  }

  std::optional<uint64_t> mount_id_;  // of the FUSE mount, once it is there
  ImageFile image_;
};

// The most that the kernel asks for at once.
uint64_t LargestRequestBytes(const MountOptions& options) {
  uint64_t pages = 0;
  std::ifstream limit("/proc/sys/fs/fuse/max_pages_limit");
  uint64_t bytes = options.max_read_bytes;
  if (limit >> pages) bytes = std::min<uint64_t>(bytes, pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)));
  return std::max(std::bit_floor(bytes), ErofsImage::kBlockBytes);
}

bool IsNoexec(const MountOptions& options) {
  const std::vector<std::string>& names = options.kernel_options;
  return std::find(names.begin(), names.end(), "noexec") != names.end();
}

// Why EROFS will not do, as far as that can be told without trying.
Status CheckErofs(const ServedArchive& archive) {
  if (::geteuid() != 0) return Error{ErrorCode::kUnsupported, "only root may mount EROFS"};
  if (!archive.options.allow_other) {
    return Error{ErrorCode::kUnsupported, "EROFS cannot hide files from other users (noallow_other)"};
  }
  if (archive.files.tree().FindChild(kRootInode, ImageFile::kName) != nullptr) {
    return Error{ErrorCode::kUnsupported, std::string("the archive has a file ") + ImageFile::kName};
  }
  return OkStatus();
}

}  // namespace

// When EROFS is gone, nobody is left but those who have plain files open, so the FUSE mount is taken away by the last
// close of the image, not when the session ends.
Status ServeErofs(const ServedArchive& archive, const Announce& announce) {
  ENTROFS_RETURN_IF_ERROR(CheckErofs(archive));
  const MountOptions& options = archive.options;
  const ErofsImage::Attributes attributes{archive.access.owner, archive.access.group, ModeMask(archive.access.mode)};
  ENTROFS_ASSIGN_OR_RETURN(ErofsImage image,
                           ErofsImage::Build(archive.files.tree(), attributes, LargestRequestBytes(options)));
  ErofsTree tree(archive, std::move(image));
  const ErofsMount erofs{tree.folder() + "/" + ImageFile::kName, options.mount_point,
                         options.read_ahead_kb.value_or(kErofsReadAheadKb), IsNoexec(options)};
  RemovePlainFolder(tree.folder());  // nothing uses it, or there would be an archive at the mount point
  ENTROFS_RETURN_IF_ERROR(MakePlainFolder(options.mount_point));
  FuseMount mount = FuseMountAt(tree.folder(), options);
  mount.leaves_unmounting = true;
  std::optional<uint64_t> erofs_id;
  Status served = ServeTree(tree, mount, options.threads, [&](const FuseSession&) -> Status {
    ENTROFS_RETURN_IF_ERROR(Greet(tree.folder(), kFuseReadAheadKb));
    ENTROFS_ASSIGN_OR_RETURN(erofs_id, MountErofs(erofs));
    tree.image().Arm();
    announce();
    return OkStatus();
  });
  DetachMount(options.mount_point, erofs_id);
  tree.RemoveFolder();
  return served;
}

}  // namespace entrofs::fs
