#include "fs/memory_folder.h"

#include <fcntl.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/file.h"

namespace entrofs::fs {
namespace {

Error CannotMake(int error) {
  return Error{ErrorCode::kUnsupported, std::string("cannot make a tmpfs: ") + std::strerror(error)};
}

bool Set(int context, const char* name, const char* value) {
  return ::fsconfig(context, FSCONFIG_SET_STRING, name, value, 0) == 0;
}

}  // namespace

Result<MemoryFolder> MemoryFolder::Make() {
  const FileDescriptor context(::fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!context.ok()) return CannotMake(errno);
  // Small pages hold a file's end. A kernel without large pages does not know the option.
  (void)Set(context.get(), "huge", "within_size");
  // 0: no limit of its own, which would be half of the machine's memory.
  if (!Set(context.get(), "size", "0") || !Set(context.get(), "mode", "0700")) return CannotMake(errno);
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return CannotMake(errno);
  FileDescriptor folder(::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  if (!folder.ok()) return CannotMake(errno);
  MemoryFolder made(std::move(folder));
  ENTROFS_ASSIGN_OR_RETURN(const FileDescriptor probe, made.NewFile());
  if (IsUsedByOthers(probe.get())) {
    return Error{ErrorCode::kUnsupported,
                 "cannot tell whether memory is in use: file leases are off (fs.leases-enable)"};
  }
  return made;
}

Result<FileDescriptor> MemoryFolder::NewFile() const {
  FileDescriptor file(::openat(folder_.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0400));
  if (!file.ok()) return SystemError("cannot make a file in memory", errno);
  return file;
}

// Nobody else may have the file open when somebody takes a lease to write, and a mapping counts as open.
bool IsUsedByOthers(int fd) {
  if (::fcntl(fd, F_SETLEASE, F_WRLCK) != 0) return true;
  (void)::fcntl(fd, F_SETLEASE, F_UNLCK);
  return false;
}

}  // namespace entrofs::fs
