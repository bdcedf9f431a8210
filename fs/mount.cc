#include "fs/mount.h"

#include <malloc.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>

#include "archive/signature.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "fs/daemon.h"
#include "fs/end_signals.h"
#include "fs/memory_limit.h"
#include "fs/mount_table.h"
#include "fs/plain_folder.h"
#include "fs/privileges.h"
#include "fs/serve.h"
#include "fs/unmount.h"
#include "fs/virtual_fs.h"

namespace entrofs::fs {
namespace {

void LogToStderr() {
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("entrofs", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  spdlog::set_pattern("%n: %l: %v");
}

void LogToSyslog() {
  auto sink = std::make_shared<spdlog::sinks::syslog_sink_mt>("entrofs", LOG_PID, LOG_DAEMON, false);
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("entrofs", std::move(sink)));
}

Result<MountOptions> Resolve(MountOptions options) {
  std::error_code error;
  std::filesystem::path archive = std::filesystem::canonical(options.archive_path, error);
  if (error) return SystemError("cannot open " + options.archive_path, error.value());
  options.archive_path = archive.string();
  options.mount_point = ResolveMountPoint(options.mount_point);
  if (options.threads == 0) options.threads = ThreadPool::AvailableCpus();
  return options;
}

Status PrepareMountPoint(const std::string& mount_point) {
  ENTROFS_RETURN_IF_ERROR(RemoveDeadMounts(mount_point));
  std::optional<MountEntry> entry = FindMount(mount_point);
  if (entry && IsArchiveMount(*entry)) {
    return Error{ErrorCode::kAlreadyExists, mount_point + ": an archive is mounted there already"};
  }
  struct stat info;
  if (::stat(mount_point.c_str(), &info) != 0) return SystemError("cannot mount on " + mount_point, errno);
  if (!S_ISDIR(info.st_mode)) return Error{ErrorCode::kInvalidArgument, mount_point + ": not a folder"};
  return OkStatus();
}

uint32_t ReadAheadKb(const MountOptions& options) {
  constexpr uint32_t kOfOrdinaryUsers = 128;
  const uint32_t wanted = options.read_ahead_kb.value_or(kFuseReadAheadKb);
  return ::geteuid() == 0 ? wanted : std::min(wanted, kOfOrdinaryUsers);
}

std::unique_ptr<PageFiller> MakeFiller(const FuseContext& context) {
  if (!context.options.fill_pages) return nullptr;
  const VirtualFs& files = context.files;
  const auto node = [&files](uint64_t inode) { return files.tree().Find(inode); };
  PageFiller::Mount mount;
  mount.path_of = [&context, node](uint64_t inode) {
    return context.folder + "/" + context.files.index().files[node(inode)->file].path;
  };
  mount.segment_at = [&files](uint64_t inode, uint64_t offset) {
    const VirtualFs::ByteRange range = files.SegmentAt(inode, offset);
    return PageFiller::Range{range.begin, range.end};
  };
  mount.size_of = [node](uint64_t inode) { return node(inode)->size_bytes; };
  mount.read_ahead_bytes = uint64_t{ReadAheadKb(context.options)} << 10;
  return std::make_unique<PageFiller>(std::move(mount));
}

// Keeps the cache within what the machine can spare. `filler` may be null.
std::unique_ptr<MemoryWatch> WatchMemory(VirtualFs& files, PageFiller* filler, const MountOptions& options) {
  const MemoryBudget budget(options.cache_bytes, MemoryLimitBytes());
  files.SetCacheBudget(budget.bytes());
  return std::make_unique<MemoryWatch>(
      budget, [] { return MemoryStallMicroseconds(); },
      [&files, filler](uint64_t budget_bytes, bool is_short) {
        files.SetCacheBudget(budget_bytes);
        if (filler != nullptr) filler->Pause(is_short);
        if (is_short) ::malloc_trim(0);
      });
}

FuseContext MakeContext(VirtualFs& files, const MountOptions& options, const FileAccess& access) {
  FuseContext context(files, options);
  context.owner = access.owner;
  context.group = access.group;
  context.mode_mask = ModeMask(access.mode);
  return context;
}

Result<std::unique_ptr<RandomAccessFile>> OpenArchiveFile(const MountOptions& options) {
  if (options.require_signature.empty()) return OpenMapped(options.archive_path);
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, OpenForReading(options.archive_path));
  ENTROFS_ASSIGN_OR_RETURN(archive::Key key, archive::ReadPublicKey(options.require_signature));
  return archive::OpenSigned(std::move(file), options.archive_path, key);
}

// Mounts and answers requests until the end.
Status ServeByEngine(FuseContext& context, const Announce& announce) {
  const EngineKind engine = context.options.engine;
  if (engine == EngineKind::kFuse) return ServeFuse(context, announce);
  if (engine == EngineKind::kMemory) {
    Status served = ServeMemory(context, announce);
    if (!served) return std::move(served.error()).WithContext("engine memory");
    return served;
  }
  bool announced = false;
  Status served = ServeErofs(context, [&] {
    announced = true;
    announce();
  });
  if (served.ok() || announced) return served;
  if (engine == EngineKind::kErofs) return std::move(served.error()).WithContext("engine erofs");
  return ServeFuse(context, [&] {
    announce();
    spdlog::info("engine fuse, because erofs does not work here: {}", served.error().message);
  });
}

// `resident` may be null.
Status Serve(std::unique_ptr<archive::ArchiveReader> reader, const MountOptions& options, ResidentFile* resident,
             const Announce& announce) {
  std::optional<EndSignalsBlocked> blocked(std::in_place);
  if (resident != nullptr) {
    ENTROFS_RETURN_IF_ERROR(resident->Reserve(options.archive_memory == ArchiveMemory::kLocked));
  }
  DropPrivileges(options);  // locking memory takes one
  const FileAccess access = reader->file().access();
  if (resident != nullptr) resident->Load();
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<VirtualFs> files,
                           VirtualFs::Create(std::move(reader), {.cache_bytes = options.cache_bytes,
                                                                 .cache_policy = options.cache_policy,
                                                                 .threads = options.threads,
                                                                 .drop_archive_pages = options.drop_archive_pages}));
  FuseContext context = MakeContext(*files, options, access);
  const std::unique_ptr<PageFiller> filler = MakeFiller(context);
  const std::unique_ptr<MemoryWatch> memory = WatchMemory(*files, filler.get(), options);
  blocked.reset();
  context.filler = filler.get();
  context.memory = memory.get();
  context.resident_archive = resident;
  return ServeByEngine(context, announce);
}

}  // namespace

Status Mount(const MountOptions& requested) {
  LogToStderr();
  ENTROFS_ASSIGN_OR_RETURN(MountOptions options, Resolve(requested));
  ENTROFS_RETURN_IF_ERROR(PrepareMountPoint(options.mount_point));
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, OpenArchiveFile(options));
  ResidentFile* resident = nullptr;  // belongs to the reader
  if (options.archive_memory != ArchiveMemory::kNo) {
    auto resident_file = std::make_unique<ResidentFile>(std::move(file));
    resident = resident_file.get();
    file = std::move(resident_file);
    options.drop_archive_pages = false;  // it does so itself
  }
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<archive::ArchiveReader> reader,
                           archive::ArchiveReader::Open(std::move(file), options.archive_path));
  if (options.foreground) {
    return Serve(std::move(reader), options, resident, [] { (void)sd_notify(0, "READY=1"); });
  }
  ENTROFS_ASSIGN_OR_RETURN(Daemon daemon, Daemon::Fork());
  if (daemon.is_parent()) return OkStatus();
  // The parent tells of exceptions, too.
  const auto serve = [&]() -> Status {
    try {
      return Serve(std::move(reader), options, resident, [&] {
        LogToSyslog();
        daemon.Ready();
      });
    } catch (const std::exception& e) {
      return Error{ErrorCode::kIo, e.what()};
    }
  };
  Status served = serve();
  if (!served.ok()) daemon.Failed(served.error());
  return served;
}

}  // namespace entrofs::fs
