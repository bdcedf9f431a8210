#include "fs/unmount.h"

#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "base/file.h"
#include "fs/mount_table.h"
#include "fs/status.h"

namespace entrofs::fs {
namespace {

// Mounts stacked on one place by daemons that died one after another.
constexpr int kMaxStackedMounts = 64;

Status RunFusermount(std::string mount_point, bool lazy) {
  std::string words[] = {"fusermount3", "-u", lazy ? "-z" : "-q", "--", std::move(mount_point)};
  char* argv[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data(), words[4].data(), nullptr};
  pid_t child = 0;
  int error = ::posix_spawnp(&child, argv[0], nullptr, nullptr, argv, environ);
  if (error != 0) return SystemError("cannot run fusermount3 (package fuse3)", error);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return SystemError("cannot wait for fusermount3", errno);
  }
  if (status != 0) return Error{ErrorCode::kIo, words[4] + ": cannot unmount: it is in use, or not yours"};
  return OkStatus();
}

Status Detach(const std::string& mount_point, bool lazy) {
  if (::geteuid() != 0) return RunFusermount(mount_point, lazy);
  if (::umount2(mount_point.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) return OkStatus();
  if (errno == EBUSY) return Error{ErrorCode::kIo, mount_point + ": in use (--lazy detaches it all the same)"};
  return SystemError("cannot unmount " + mount_point, errno);
}

// Names and attributes outlive the daemon in the kernel's memory; extended attributes are always asked for.
bool IsDead(const std::string& mount_point) {
  return ::getxattr(mount_point.c_str(), kStatusAttribute, nullptr, 0) < 0 &&
         (errno == ENOTCONN || errno == ECONNABORTED);
}

}  // namespace

Status Unmount(const std::string& mount_point, bool lazy) {
  std::string path = ResolveMountPoint(mount_point);
  std::optional<MountEntry> entry = FindMount(path);
  if (!entry || entry->type != kFuseType) {
    return Error{ErrorCode::kNotFound, mount_point + ": no archive is mounted there"};
  }
  return Detach(path, lazy);
}

Status RemoveDeadMounts(const std::string& mount_point) {
  for (int i = 0; i < kMaxStackedMounts && IsDead(mount_point); ++i) {
    std::optional<MountEntry> entry = FindMount(mount_point);
    if (!entry || entry->type != kFuseType) break;  // another program's: not ours to remove
    ENTROFS_RETURN_IF_ERROR(Detach(mount_point, true));
  }
  return OkStatus();
}

}  // namespace entrofs::fs
