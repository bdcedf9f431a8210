#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/result.h"
#include "fs/fuse_api.h"
#include "fs/fuse_mount.h"
#include "fs/served_tree.h"

namespace entrofs::fs {

// One FUSE mount from mount(2), or fusermount3 for ordinary users, to unmount.
class FuseSession {
 public:
  // The mount shows `tree`, which must outlive the session, once Serve runs.
  static Result<std::unique_ptr<FuseSession>> Mount(ServedTree& tree, const FuseMount& mount);
  // Unmounts, unless that is left to the caller; lazily where files are open: their reads fail from then on.
  ~FuseSession();
  FuseSession(const FuseSession&) = delete;
  FuseSession& operator=(const FuseSession&) = delete;

  // Answers requests on `threads` threads until the file system is unmounted or SIGTERM, SIGINT or SIGHUP arrives.
  // Starts its threads here. Returns what ended it.
  enum class End { kUnmounted, kSignal };
  Result<End> Serve(size_t threads);

  // For the ioctls of passthrough.h.
  int fd() const { return fuse_session_fd(session_); }
  // MountIdAt of the mount; nullopt where the kernel gives none.
  std::optional<uint64_t> mount_id() const { return mount_id_; }

 private:
  FuseSession(fuse_session* session, std::string folder) : session_(session), folder_(std::move(folder)) {}

  fuse_session* session_;
  const std::string folder_;
  std::optional<uint64_t> mount_id_;
  bool unmounts_ = false;
  bool is_mounted_by_us_ = false;  // not by libfuse
  bool handles_signals_ = false;
};

}  // namespace entrofs::fs
