#include "fs/serve.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/file.h"
#include "fs/end_signals.h"
#include "fs/unmount.h"

namespace entrofs::fs {
namespace {

// The kernel's read-ahead is a setting of the mount's device, which files take over when they are opened.
void SetReadAhead(dev_t device, uint32_t read_ahead_kb) {
  std::string path =
      "/sys/class/bdi/" + std::to_string(major(device)) + ":" + std::to_string(minor(device)) + "/read_ahead_kb";
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr) return;
  std::fprintf(file, "%u\n", read_ahead_kb);
  std::fclose(file);
}

}  // namespace

// Settings made before the first answer would be lost.
Status Greet(const std::string& folder, uint32_t read_ahead_kb) {
  struct stat info;
  if (::stat(folder.c_str(), &info) != 0) return SystemError(folder + ": the mount does not answer", errno);
  SetReadAhead(info.st_dev, read_ahead_kb);
  return OkStatus();
}

FuseMount FuseMountAt(const std::string& folder, const MountOptions& options) {
  FuseMount mount;
  mount.folder = folder;
  mount.max_read_bytes = options.max_read_bytes;
  mount.allow_other = options.allow_other;
  mount.kernel_options = options.kernel_options;
  return mount;
}

Status ServeTree(ServedTree& tree, const FuseMount& mount, size_t threads, const BringUp& bring_up) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<FuseSession> session, FuseSession::Mount(tree, mount));
  Status up = OkStatus();
  std::atomic<bool> is_up{false};
  std::optional<EndSignalsBlocked> blocked(std::in_place);
  tree.Begin({.fd = session->fd(), .mount_id = session->mount_id()});
  std::thread other([&, id = session->mount_id()] {
    up = bring_up(*session);
    is_up = up.ok();
    if (!up) DetachMount(mount.folder, id);
  });
  blocked.reset();
  // Requests wait for the disk now and then, so even one CPU serves two.
  Result<FuseSession::End> end = session->Serve(std::max<size_t>(threads, 2));
  // A signal may come between the announcement and `is_up`.
  const bool is_signalled = end.ok() && *end == FuseSession::End::kSignal;
  if (is_up || is_signalled) (void)sd_notify(0, "STOPPING=1");
  tree.End();
  session.reset();  // ends the other thread's question, should it still wait for an answer
  other.join();
  if (!end) return std::move(end.error());
  if (*end == FuseSession::End::kSignal) return OkStatus();  // perhaps so early that the mount never answered
  return up;
}

}  // namespace entrofs::fs
