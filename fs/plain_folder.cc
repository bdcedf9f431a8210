#include "fs/plain_folder.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"

namespace entrofs::fs {
namespace {

constexpr std::string_view kRunFolder = "/run/entrofs";

// What others may do with a folder, as permissions of one that belongs to root: its group gets what others get.
mode_t ModeLike(const struct stat& folder) { return 0700 | (folder.st_mode & 05) << 3 | (folder.st_mode & 05); }

// One that is there already lets in nobody whom `mode` does not.
Status MakeFolder(const std::string& folder, mode_t mode) {
  struct stat info = {};
  if (::mkdir(folder.c_str(), 0700) != 0) {
    if (errno != EEXIST || ::stat(folder.c_str(), &info) != 0) return SystemError("cannot make " + folder, errno);
    if ((info.st_mode & 0777 & ~mode) == 0) return OkStatus();
  }
  if (::chmod(folder.c_str(), mode) != 0) return SystemError("cannot make " + folder, errno);
  return OkStatus();
}

}  // namespace

std::string PlainFolderFor(const std::string& mount_point) {
  return std::string(kRunFolder) + (mount_point == "/" ? "" : mount_point);
}

std::optional<std::string> PlainFolderOf(const MountEntry& entry) {
  if (entry.type != kErofsType || !entry.source.starts_with(std::string(kRunFolder) + '/')) return std::nullopt;
  return entry.source.substr(0, entry.source.rfind('/'));
}

bool IsArchiveMount(const MountEntry& entry) { return entry.type == kFuseType || PlainFolderOf(entry).has_value(); }

Status MakePlainFolder(const std::string& mount_point) {
  ENTROFS_RETURN_IF_ERROR(MakeFolder(std::string(kRunFolder), 0755));
  for (size_t end = 0; end != std::string::npos && mount_point != "/";) {
    end = mount_point.find('/', end + 1);
    std::string above = mount_point.substr(0, end);
    struct stat info;
    if (::stat(above.c_str(), &info) != 0) return SystemError("cannot open " + above, errno);
    ENTROFS_RETURN_IF_ERROR(MakeFolder(PlainFolderFor(above), ModeLike(info)));
  }
  return OkStatus();
}

void RemovePlainFolder(const std::string& folder) {
  for (std::optional<MountEntry> entry; (entry = FindMount(folder)) && entry->type == kFuseType;) {
    if (::umount2(folder.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) return;
  }
  for (std::string empty = folder; empty.size() >= kRunFolder.size(); empty.resize(empty.rfind('/'))) {
    if (::rmdir(empty.c_str()) != 0 && errno != ENOENT) return;
  }
}

}  // namespace entrofs::fs
