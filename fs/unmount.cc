#include "fs/unmount.h"

#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <thread>

#include "base/file.h"
#include "fs/mount_table.h"
#include "fs/plain_folder.h"
#include "fs/status.h"

namespace entrofs::fs {
namespace {

// Mounts stacked on one place by daemons that died one after another.
constexpr int kMaxStackedMounts = 64;

constexpr int kRetries = 5;
constexpr std::chrono::milliseconds kBetweenRetries(40);

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

// Detaches a mount of ours, and the FUSE mount below when it is an EROFS.
Status DetachEntry(const MountEntry& entry, bool lazy) {
  ENTROFS_RETURN_IF_ERROR(Detach(entry.mount_point, lazy));
  std::optional<std::string> plain_folder = PlainFolderOf(entry);
  if (plain_folder) RemovePlainFolder(*plain_folder);
  return OkStatus();
}

// Names and attributes outlive the daemon in the kernel's memory; extended attributes are always asked for.
bool IsDead(const MountEntry& entry) {
  std::string folder = PlainFolderOf(entry).value_or(entry.mount_point);
  return ::getxattr(folder.c_str(), kStatusAttribute, nullptr, 0) < 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

// Removes the FUSE mount of an EROFS mount that somebody unmounted after the daemon had died. True if there was one.
bool RemoveLeftover(const std::string& mount_point) {
  std::string folder = PlainFolderFor(mount_point);
  std::optional<MountEntry> entry = FindMount(folder);
  if (!entry || entry->type != kFuseType || !IsDead(*entry)) return false;
  RemovePlainFolder(folder);
  return true;
}

}  // namespace

void DetachMount(const std::string& path, std::optional<uint64_t> id) {
  if (id && MountIdAt(path) == id) (void)::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
}

Status Unmount(const std::string& mount_point, bool lazy) {
  std::string path = ResolveMountPoint(mount_point);
  std::optional<MountEntry> entry = FindMount(path);
  if (!entry || !IsArchiveMount(*entry)) {
    if (RemoveLeftover(path)) return OkStatus();
    return Error{ErrorCode::kNotFound, mount_point + ": no archive is mounted there"};
  }
  // The daemon itself may still read ahead for a reader that has just gone.
  Status status = DetachEntry(*entry, lazy);
  for (int i = 0; i < kRetries && !status.ok(); ++i) {
    std::this_thread::sleep_for(kBetweenRetries);
    status = DetachEntry(*entry, lazy);
  }
  return status;
}

Status RemoveDeadMounts(const std::string& mount_point) {
  for (int i = 0; i < kMaxStackedMounts; ++i) {
    std::optional<MountEntry> entry = FindMount(mount_point);
    if (!entry || !IsArchiveMount(*entry) || !IsDead(*entry)) break;  // another program's is not ours to remove
    ENTROFS_RETURN_IF_ERROR(DetachEntry(*entry, true));
  }
  RemoveLeftover(mount_point);
  return OkStatus();
}

}  // namespace entrofs::fs
