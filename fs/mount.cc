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
#include "fs/engine.h"
#include "fs/memory_limit.h"
#include "fs/memory_watch.h"
#include "fs/mount_table.h"
#include "fs/plain_folder.h"
#include "fs/privileges.h"
#include "fs/resident_file.h"
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

// Keeps the cache within what the machine can spare.
std::unique_ptr<MemoryWatch> WatchMemory(VirtualFs& files, const MountOptions& options) {
  const MemoryBudget budget(options.cache_bytes, MemoryLimitBytes());
  files.SetCacheBudget(budget.bytes());
  return std::make_unique<MemoryWatch>(
      budget, [] { return MemoryStallMicroseconds(); },
      [&files](uint64_t budget_bytes, bool is_short) {
        files.SetCacheBudget(budget_bytes);
        if (is_short) ::malloc_trim(0);
      });
}

Result<std::unique_ptr<RandomAccessFile>> OpenArchiveFile(const MountOptions& options) {
  if (options.require_signature.empty()) return OpenMapped(options.archive_path);
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, OpenForReading(options.archive_path));
  ENTROFS_ASSIGN_OR_RETURN(archive::Key key, archive::ReadPublicKey(options.require_signature));
  return archive::OpenSigned(std::move(file), options.archive_path, key);
}

// `resident` may be null.
Status Serve(std::unique_ptr<archive::ArchiveReader> reader, const MountOptions& options, ResidentFile* resident,
             const Announce& announce) {
  std::optional<EndSignalsBlocked> blocked(std::in_place);
  if (resident != nullptr) {
    ENTROFS_RETURN_IF_ERROR(resident->Reserve(options.archive_memory == ArchiveMemory::kLocked));
  }
  DropPrivileges(options.core_dumps);  // locking memory takes one
  const FileAccess access = reader->file().access();
  if (resident != nullptr) resident->Load();
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<VirtualFs> files,
                           VirtualFs::Create(std::move(reader), {.cache_bytes = options.cache_bytes,
                                                                 .cache_policy = options.cache_policy,
                                                                 .threads = options.threads,
                                                                 .view = options.view,
                                                                 .drop_archive_pages = options.drop_archive_pages}));
  const std::unique_ptr<MemoryWatch> memory = WatchMemory(*files, options);
  blocked.reset();
  const auto resident_bytes = [resident] { return resident != nullptr ? resident->resident_bytes() : 0; };
  return ServeArchive({*files, options, access, *memory, resident_bytes}, announce);
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
