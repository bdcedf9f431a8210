#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "fs/fuse_ops.h"

namespace entrofs::fs {

// One FUSE mount from mount(2), or fusermount3 for ordinary users, to unmount.
class FuseSession {
 public:
  // Mounts at context.folder and sets context.mount_id, for engine memory with passthrough. The mount answers once
  // Serve runs. `context` must outlive the session.
  static Result<std::unique_ptr<FuseSession>> Mount(FuseContext& context);
  // Unmounts, lazily where files are open; their reads fail from then on. With context.image, unmounting is left to the
  // caller.
  ~FuseSession();
  FuseSession(const FuseSession&) = delete;
  FuseSession& operator=(const FuseSession&) = delete;

  // Answers requests on `threads` threads until the file system is unmounted or SIGTERM, SIGINT or SIGHUP arrives.
  // Starts its threads here. Returns what ended it.
  enum class End { kUnmounted, kSignal };
  Result<End> Serve(size_t threads);

  // For the ioctls of passthrough.h.
  int fd() const { return fuse_session_fd(session_); }

 private:
  FuseSession(fuse_session* session, const FuseContext& context) : session_(session), context_(context) {}

  fuse_session* session_;
  const FuseContext& context_;
  bool unmounts_ = false;
  bool is_mounted_by_us_ = false;  // not by libfuse
  bool handles_signals_ = false;
};

}  // namespace entrofs::fs
