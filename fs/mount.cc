#include "fs/mount.h"

#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "base/file.h"
#include "base/thread_pool.h"
#include "fs/daemon.h"
#include "fs/fuse_session.h"
#include "fs/mount_table.h"
#include "fs/unmount.h"
#include "fs/virtual_fs.h"

namespace entrofs::fs {
namespace {

// Keeps the signals that end the daemon away from the threads started meanwhile, so that they reach the main thread.
class EndSignalsBlocked {
 public:
  EndSignalsBlocked() {
    sigset_t signals;
    sigemptyset(&signals);
    for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
    pthread_sigmask(SIG_BLOCK, &signals, &before_);
  }
  ~EndSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  EndSignalsBlocked(const EndSignalsBlocked&) = delete;
  EndSignalsBlocked& operator=(const EndSignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

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
  if (entry && entry->type == kFuseType) {
    return Error{ErrorCode::kAlreadyExists, mount_point + ": an archive is mounted there already"};
  }
  struct stat info;
  if (::stat(mount_point.c_str(), &info) != 0) return SystemError("cannot mount on " + mount_point, errno);
  if (!S_ISDIR(info.st_mode)) return Error{ErrorCode::kInvalidArgument, mount_point + ": not a folder"};
  return OkStatus();
}

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
Status BringUp(const MountOptions& options) {
  struct stat info;
  if (::stat(options.mount_point.c_str(), &info) != 0) {
    return SystemError(options.mount_point + ": the mount does not answer", errno);
  }
  SetReadAhead(info.st_dev, options.read_ahead_kb);
  return OkStatus();
}

Result<FuseContext> MakeContext(VirtualFs& files, const MountOptions& options) {
  struct stat info;
  if (::stat(options.archive_path.c_str(), &info) != 0)
    return SystemError("cannot open " + options.archive_path, errno);
  return FuseContext{files, options, info.st_uid, info.st_gid, ModeMask(info.st_mode)};
}

// Mounts and answers requests until the end; calls `announce` from another thread once the mount answers.
Status Serve(std::unique_ptr<archive::ArchiveReader> reader, const MountOptions& options,
             const std::function<void()>& announce) {
  std::optional<EndSignalsBlocked> blocked(std::in_place);
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<VirtualFs> files,
                           VirtualFs::Create(std::move(reader), {.cache_bytes = options.cache_bytes,
                                                                 .cache_policy = options.cache_policy,
                                                                 .threads = options.threads,
                                                                 .drop_archive_pages = options.drop_archive_pages}));
  ENTROFS_ASSIGN_OR_RETURN(FuseContext context, MakeContext(*files, options));
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<FuseSession> session, FuseSession::Mount(context));
  Status up = OkStatus();
  std::thread announcer([&] {
    up = BringUp(options);
    if (up.ok()) announce();
  });
  blocked.reset();
  // Requests wait for the disk now and then, so even one CPU serves two.
  Result<FuseSession::End> end = session->Serve(std::max<size_t>(options.threads, 2));
  (void)sd_notify(0, "STOPPING=1");
  session.reset();  // ends the announcer's question, should it still wait for an answer
  announcer.join();
  if (!end) return std::move(end.error());
  if (*end == FuseSession::End::kSignal) return OkStatus();  // perhaps so early that the mount never answered
  return up;
}

}  // namespace

Status Mount(const MountOptions& requested) {
  LogToStderr();
  ENTROFS_ASSIGN_OR_RETURN(MountOptions options, Resolve(requested));
  ENTROFS_RETURN_IF_ERROR(PrepareMountPoint(options.mount_point));
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, OpenForReading(options.archive_path));
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<archive::ArchiveReader> reader,
                           archive::ArchiveReader::Open(std::move(file), options.archive_path));
  if (options.foreground) {
    return Serve(std::move(reader), options, [] { (void)sd_notify(0, "READY=1"); });
  }
  ENTROFS_ASSIGN_OR_RETURN(Daemon daemon, Daemon::Fork());
  if (daemon.is_parent()) return OkStatus();
  Status served = Serve(std::move(reader), options, [&] {
    LogToSyslog();
    daemon.Ready();
  });
  if (!served.ok()) daemon.Failed(served.error());
  return served;
}

}  // namespace entrofs::fs
