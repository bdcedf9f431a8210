#include "fs/fuse_session.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <utility>

#include "base/file_descriptor.h"
#include "fs/fuse_ops.h"
#include "fs/mount_table.h"
#include "fs/passthrough.h"
#include "fs/unmount.h"

namespace entrofs::fs {
namespace {

void LogFuseMessage(fuse_log_level level, const char* format, va_list arguments) {
  char text[512];
  std::vsnprintf(text, sizeof text, format, arguments);
  std::string line(text);
  while (!line.empty() && line.back() == '\n') line.pop_back();
  if (level <= FUSE_LOG_ERR) {
    spdlog::error("{}", line);
  } else {
    spdlog::debug("{}", line);
  }
}

std::string KernelOptions(const FuseMount& mount) {
  std::string text = "ro,nosuid,nodev,default_permissions,fsname=entrofs,subtype=entrofs";
  text += ",max_read=" + std::to_string(mount.max_read_bytes);
  if (mount.allow_other) text += ",allow_other";
  for (const std::string& option : mount.kernel_options) text += "," + option;
  return text;
}

// Ends the connection so that libfuse takes the file system for unmounted: it asks poll(2) for an error, which is also
// what a pipe without readers reports.
void Disconnect(fuse_session* session) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return;
  const FileDescriptor writing(ends[1]);
  ::close(ends[0]);
  (void)::dup3(writing.get(), fuse_session_fd(session), O_CLOEXEC);
}

}  // namespace

Result<std::unique_ptr<FuseSession>> FuseSession::Mount(ServedTree& tree, const FuseMount& mount) {
  fuse_set_log_func(LogFuseMessage);
  std::string options = KernelOptions(mount);
  std::string words[] = {"entrofs", "-o", options};
  char* argv[] = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  fuse_args args = FUSE_ARGS_INIT(3, argv);
  fuse_session* raw = fuse_session_new(&args, &FuseOperations(), sizeof(fuse_lowlevel_ops), &tree);
  fuse_opt_free_args(&args);
  if (raw == nullptr) return Error{ErrorCode::kIo, "cannot start FUSE with the options '" + options + "'"};
  std::unique_ptr<FuseSession> session(new FuseSession(raw, mount.folder));
  session->handles_signals_ = fuse_set_signal_handlers(raw) == 0;
  if (mount.with_passthrough) {
    ENTROFS_RETURN_IF_ERROR(MountWithPassthrough(raw, mount));
    session->is_mounted_by_us_ = true;
  } else if (fuse_session_mount(raw, mount.folder.c_str()) != 0) {
    std::string hint = ::access("/dev/fuse", F_OK) != 0 ? " (there is no /dev/fuse: is the fuse module loaded?)" : "";
    return Error{ErrorCode::kIo, mount.folder + ": cannot mount" + hint};
  }
  session->mount_id_ = MountIdAt(mount.folder);
  session->unmounts_ = !mount.leaves_unmounting;
  return session;
}

FuseSession::~FuseSession() {
  if (!unmounts_) Disconnect(session_);
  if (is_mounted_by_us_) DetachMount(folder_, mount_id_);
  fuse_session_unmount(session_);
  if (handles_signals_) fuse_remove_signal_handlers(session_);
  fuse_session_destroy(session_);
}

Result<FuseSession::End> FuseSession::Serve(size_t threads) {
  fuse_loop_config* config = fuse_loop_cfg_create();
  if (config == nullptr) return Error{ErrorCode::kNoMemory, "out of memory"};
  fuse_loop_cfg_set_max_threads(config, static_cast<unsigned>(threads));
  fuse_loop_cfg_set_idle_threads(config, static_cast<unsigned>(threads));
  int result = fuse_session_loop_mt(session_, config);
  fuse_loop_cfg_destroy(config);
  if (result < 0) return Error{ErrorCode::kIo, "the connection to the kernel failed"};
  return result == 0 ? End::kUnmounted : End::kSignal;  // positive: the number of the signal
}

}  // namespace entrofs::fs
