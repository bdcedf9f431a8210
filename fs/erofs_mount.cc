#include "fs/erofs_mount.h"

#include <sys/mount.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <optional>
#include <vector>

#include "base/file.h"
#include "fs/mount_table.h"

namespace entrofs::fs {
namespace {

namespace stdfs = std::filesystem;

constexpr char kDeviceSettings[] = "/sys/class/bdi";

// The kernel's names for the settings of all EROFS mounts of files: "erofs-7". Sorted.
std::vector<std::string> AllErofsDevices() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : stdfs::directory_iterator(kDeviceSettings, error)) {
    if (entry.path().filename().string().starts_with("erofs-")) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Status SetReadAhead(const std::string& device, uint32_t read_ahead_kb) {
  std::string path = std::string(kDeviceSettings) + "/" + device + "/read_ahead_kb";
  std::FILE* file = std::fopen(path.c_str(), "we");
  bool done = file != nullptr && std::fprintf(file, "%u\n", read_ahead_kb) > 0;
  done = file != nullptr && std::fclose(file) == 0 && done;
  if (!done) return Error{ErrorCode::kUnsupported, "cannot set the read-ahead in " + path};
  return OkStatus();
}

// A mount's settings do not tell whose they are (their names are counted, not made of device numbers), but they appear
// with it. Should somebody else have mounted an EROFS at the same moment, it will read ahead farther, too.
Status SetReadAheadOfNew(const std::vector<std::string>& before, uint32_t read_ahead_kb) {
  std::vector<std::string> now = AllErofsDevices();
  std::vector<std::string> added;
  std::set_difference(now.begin(), now.end(), before.begin(), before.end(), std::back_inserter(added));
  if (added.empty()) return Error{ErrorCode::kUnsupported, std::string("the mount is not in ") + kDeviceSettings};
  for (const std::string& device : added) ENTROFS_RETURN_IF_ERROR(SetReadAhead(device, read_ahead_kb));
  return OkStatus();
}

Error WhyNot(int error) {
  switch (error) {
    case ENODEV:
      return {ErrorCode::kUnsupported, "this kernel has no EROFS"};
    case ENOTBLK:
      return {ErrorCode::kUnsupported,
              "this kernel mounts EROFS from block devices only (Linux 6.12 with EROFS_FS_BACKED_BY_FILE is needed)"};
    case EINVAL:
      return {ErrorCode::kUnsupported, "this kernel's EROFS has no option 'directio' (a later Linux 6 is needed)"};
    case EPERM:
    case EACCES:
      return {ErrorCode::kUnsupported, "this process may not mount EROFS (CAP_SYS_ADMIN is needed)"};
    default:
      return SystemError("cannot mount EROFS", error);
  }
}

}  // namespace

Result<uint64_t> MountErofs(const ErofsMount& mount) {
  std::vector<std::string> before = AllErofsDevices();
  unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | (mount.noexec ? MS_NOEXEC : 0);
  // Without "directio" EROFS would read through FUSE's page cache, and everything would be cached twice; worse, it
  // would take what follows a failed page for zeroes.
  if (::mount(mount.image_path.c_str(), mount.mount_point.c_str(), "erofs", flags, "directio") != 0) {
    return WhyNot(errno);
  }
  Status status = SetReadAheadOfNew(before, mount.read_ahead_kb);
  std::optional<uint64_t> id = MountIdAt(mount.mount_point);
  if (status.ok() && id) return *id;
  (void)::umount2(mount.mount_point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  if (!status) return std::move(status.error());
  return Error{ErrorCode::kUnsupported, "this kernel does not tell mounts apart (Linux 6.8 is needed)"};
}

}  // namespace entrofs::fs
