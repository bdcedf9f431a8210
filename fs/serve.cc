#include "fs/serve.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "base/file.h"
#include "fs/end_signals.h"
#include "fs/erofs_mount.h"
#include "fs/fuse_session.h"
#include "fs/memory_folder.h"
#include "fs/memory_limit.h"
#include "fs/mount_table.h"
#include "fs/passthrough.h"
#include "fs/plain_folder.h"
#include "fs/unmount.h"

namespace entrofs::fs {
namespace {

// Less makes the kernel wait for each window in turn.
constexpr uint32_t kErofsReadAheadKb = 16384;

// The kernel's read-ahead is a setting of the mount's device, which files take over when they are opened. Only root
// may change it; others do without.
void SetReadAhead(dev_t device, uint32_t read_ahead_kb) {
  std::string path =
      "/sys/class/bdi/" + std::to_string(major(device)) + ":" + std::to_string(minor(device)) + "/read_ahead_kb";
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return;
  std::fprintf(file, "%u\n", read_ahead_kb);
  std::fclose(file);
}

// The first question to the mount waits until the kernel and the daemon have greeted each other; settings made before
// would be lost.
Status Greet(const std::string& folder, uint32_t read_ahead_kb) {
  struct stat info;
  if (::stat(folder.c_str(), &info) != 0) return SystemError(folder + ": the mount does not answer", errno);
  SetReadAhead(info.st_dev, read_ahead_kb);
  return OkStatus();
}

// Must end before the session does.
std::unique_ptr<DecodedFiles> MakeDecodedFiles(const FuseContext& context, const MemoryFolder& memory, int session_fd) {
  VirtualFs& files = context.files;
  DecodedFiles::Actions actions;
  actions.size_of = [&files](size_t file) { return files.index().files[file].size_bytes; };
  actions.decode = [&files](size_t file, MutableByteSpan plain, const DecodedFiles::GoesOn& goes_on) {
    return files.DecodeFile(file, plain, goes_on);
  };
  actions.new_memory = [&memory] { return memory.NewFile(); };
  actions.add_backing = [session_fd](int fd) { return AddBacking(session_fd, fd); };
  actions.remove_backing = [session_fd](uint32_t backing) { RemoveBacking(session_fd, backing); };
  actions.available_bytes = [] { return AvailableMemoryBytes(); };
  actions.memory_is_short = [&context] { return context.memory != nullptr && context.memory->is_short(); };
  return std::make_unique<DecodedFiles>(files.index().files.size(), std::move(actions), DecodedFiles::Options());
}

using BringUp = std::function<Status(const FuseSession&)>;

// Mounts FUSE and answers requests. Calls `bring_up` from another thread meanwhile; when it fails, the mount ends.
// `memory`: where files are decoded into when they are opened; null when they are not.
Status Serve(FuseContext& context, const MemoryFolder* memory, const BringUp& bring_up) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<FuseSession> session, FuseSession::Mount(context));
  Status up = OkStatus();
  std::atomic<bool> is_up{false};
  std::optional<EndSignalsBlocked> blocked(std::in_place);
  std::unique_ptr<DecodedFiles> decoded;
  if (memory != nullptr) decoded = MakeDecodedFiles(context, *memory, session->fd());
  context.decoded = decoded.get();
  std::thread other([&] {
    up = bring_up(*session);
    is_up = up.ok();
    if (!up) DetachMount(context.folder, context.mount_id);
  });
  blocked.reset();
  // Requests wait for the disk now and then, so even one CPU serves two.
  Result<FuseSession::End> end = session->Serve(std::max<size_t>(context.options.threads, 2));
  // A signal may come between the announcement and `is_up`.
  const bool is_signalled = end.ok() && *end == FuseSession::End::kSignal;
  if (is_up || is_signalled) (void)sd_notify(0, "STOPPING=1");
  decoded.reset();  // answers those who wait
  context.decoded = nullptr;
  session.reset();  // ends the other thread's question, should it still wait for an answer
  other.join();
  if (!end) return std::move(end.error());
  if (*end == FuseSession::End::kSignal) return OkStatus();  // perhaps so early that the mount never answered
  return up;
}

Status TryPassthrough(int session_fd, const MemoryFolder& memory) {
  ENTROFS_ASSIGN_OR_RETURN(const FileDescriptor file, memory.NewFile());
  ENTROFS_ASSIGN_OR_RETURN(const uint32_t backing, AddBacking(session_fd, file.get()));
  RemoveBacking(session_fd, backing);
  return OkStatus();
}

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
Status CheckErofs(const FuseContext& context) {
  if (::geteuid() != 0) return Error{ErrorCode::kUnsupported, "only root may mount EROFS"};
  if (!context.options.allow_other) {
    return Error{ErrorCode::kUnsupported, "EROFS cannot hide files from other users (noallow_other)"};
  }
  if (context.files.tree().FindChild(kRootInode, ImageFile::kName) != nullptr) {
    return Error{ErrorCode::kUnsupported, std::string("the archive has a file ") + ImageFile::kName};
  }
  return OkStatus();
}

}  // namespace

Status ServeFuse(FuseContext& context, const Announce& announce) {
  context.folder = context.options.mount_point;
  context.image = nullptr;
  return Serve(context, nullptr, [&](const FuseSession&) -> Status {
    ENTROFS_RETURN_IF_ERROR(Greet(context.folder, context.options.read_ahead_kb.value_or(kFuseReadAheadKb)));
    announce();
    return OkStatus();
  });
}

Status ServeMemory(FuseContext& context, const Announce& announce) {
  if (::geteuid() != 0) return Error{ErrorCode::kUnsupported, "only root may hand memory to the kernel"};
  context.folder = context.options.mount_point;
  context.image = nullptr;
  ENTROFS_ASSIGN_OR_RETURN(const MemoryFolder memory, MemoryFolder::Make());
  return Serve(context, &memory, [&](const FuseSession& session) -> Status {
    ENTROFS_RETURN_IF_ERROR(Greet(context.folder, context.options.read_ahead_kb.value_or(kFuseReadAheadKb)));
    ENTROFS_RETURN_IF_ERROR(TryPassthrough(session.fd(), memory));
    announce();
    return OkStatus();
  });
}

Status ServeErofs(FuseContext& context, const Announce& announce) {
  const MountOptions& options = context.options;
  ENTROFS_RETURN_IF_ERROR(CheckErofs(context));
  ErofsImage::Attributes attributes{context.owner, context.group, context.mode_mask};
  ENTROFS_ASSIGN_OR_RETURN(ErofsImage image,
                           ErofsImage::Build(context.files.tree(), attributes, LargestRequestBytes(options)));
  context.folder = PlainFolderFor(options.mount_point);
  context.mount_id.reset();
  const auto remove_plain = [&context] {
    if (!context.mount_id || MountIdAt(context.folder) == context.mount_id) RemovePlainFolder(context.folder);
  };
  // When EROFS is gone, nobody is left but those who have plain files open.
  ImageFile image_file(std::move(image), context.files, remove_plain);
  context.image = &image_file;
  const ErofsMount mount{context.folder + "/" + ImageFile::kName, options.mount_point,
                         options.read_ahead_kb.value_or(kErofsReadAheadKb), IsNoexec(options)};
  RemovePlainFolder(context.folder);  // nothing uses it, or there would be an archive at the mount point
  ENTROFS_RETURN_IF_ERROR(MakePlainFolder(options.mount_point));
  std::optional<uint64_t> id;
  Status served = Serve(context, nullptr, [&](const FuseSession&) -> Status {
    ENTROFS_RETURN_IF_ERROR(Greet(context.folder, kFuseReadAheadKb));
    ENTROFS_ASSIGN_OR_RETURN(id, MountErofs(mount));
    image_file.Arm();
    announce();
    return OkStatus();
  });
  DetachMount(options.mount_point, id);
  remove_plain();
  return served;
}

}  // namespace entrofs::fs
