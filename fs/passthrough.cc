#include "fs/passthrough.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>

#include "base/file.h"
#include "base/file_descriptor.h"
#include "fs/mount_table.h"

namespace entrofs::fs {
namespace {

// What linux/fuse.h calls FUSE_PASSTHROUGH, FOPEN_PASSTHROUGH, fuse_backing_map, FUSE_DEV_IOC_BACKING_OPEN and
// FUSE_DEV_IOC_BACKING_CLOSE from protocol 7.40 on, and fuse_init_out and fuse_open_out with the fields added then.
constexpr uint64_t kPassthroughFlag = uint64_t{1} << 37;
constexpr uint32_t kOpenPassthrough = 1u << 7;
struct BackingMap {
  int32_t fd;
  uint32_t flags;
  uint64_t padding;
};
struct OpenReply {
  uint64_t handle;
  uint32_t open_flags;
  int32_t backing_id;
};
static_assert(sizeof(OpenReply) == sizeof(fuse_open_out));
constexpr unsigned long kBackingOpen = _IOW(229, 1, BackingMap);
constexpr unsigned long kBackingClose = _IOW(229, 2, uint32_t);
// The field behind flags2. 1: what we show may lie on files, but not on a stack of file systems.
constexpr size_t kStackDepthOffset = offsetof(fuse_init_out, flags2) + sizeof(uint32_t);
constexpr uint32_t kStackDepth = 1;

// `parts` are a reply of libfuse's: a header, then the content.
void AskForPassthrough(const iovec* parts, int count) {
  if (count < 2 || parts[1].iov_len < sizeof(fuse_init_out)) return;  // an error
  auto& greeting = *static_cast<fuse_init_out*>(parts[1].iov_base);
  greeting.flags |= FUSE_INIT_EXT;
  greeting.flags2 |= static_cast<uint32_t>(kPassthroughFlag >> 32);
  std::copy_n(reinterpret_cast<const uint8_t*>(&kStackDepth), sizeof kStackDepth,
              static_cast<uint8_t*>(parts[1].iov_base) + kStackDepthOffset);
}

// The first thing that anybody writes to a connection is the answer to the kernel's greeting: it asks nothing else
// before. One connection at a time is served by a process.
std::atomic<bool> is_greeted{false};

ssize_t WriteReply(int fd, iovec* parts, int count, void* /*userdata*/) {
  if (!is_greeted.exchange(true)) AskForPassthrough(parts, count);
  return ::writev(fd, parts, count);
}

ssize_t ReadRequest(int fd, void* buffer, size_t size, void* /*userdata*/) { return ::read(fd, buffer, size); }

std::string KernelData(int device_fd, const FuseMount& mount) {
  std::string data = "fd=" + std::to_string(device_fd) + ",rootmode=40000,user_id=0,group_id=0,default_permissions" +
                     ",max_read=" + std::to_string(mount.max_read_bytes);
  if (mount.allow_other) data += ",allow_other";
  return data;
}

unsigned long MountFlags(const FuseMount& mount) {
  unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV;
  for (const std::string& option : mount.kernel_options) {
    if (option == "noexec") flags |= MS_NOEXEC;
    if (option == "dirsync") flags |= MS_DIRSYNC;
  }
  return flags;
}

}  // namespace

Status MountWithPassthrough(fuse_session* session, const FuseMount& mount) {
  FileDescriptor device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!device.ok()) return SystemError("cannot open /dev/fuse", errno);
  const std::string data = KernelData(device.get(), mount);
  if (::mount("entrofs", mount.folder.c_str(), std::string(kFuseType).c_str(), MountFlags(mount), data.c_str()) != 0) {
    return SystemError(mount.folder + ": cannot mount", errno);
  }
  is_greeted = false;
  fuse_custom_io io = {};  // later versions have more members
  io.writev = WriteReply;
  io.read = ReadRequest;
  if (const int error = fuse_session_custom_io(session, &io, device.get()); error != 0) {
    ::umount2(mount.folder.c_str(), MNT_DETACH);
    if (error == -ENOSYS) return Error{ErrorCode::kUnsupported, "this program's libfuse is too old (3.14 is needed)"};
    return Error{ErrorCode::kNoMemory, "out of memory"};
  }
  (void)device.release();  // the session's from now on
  return OkStatus();
}

Result<uint32_t> AddBacking(int session_fd, int fd) {
  BackingMap map = {fd, 0, 0};
  const int id = ::ioctl(session_fd, kBackingOpen, &map);
  if (id > 0) return static_cast<uint32_t>(id);
  if (errno == EPERM || errno == ENOTTY || errno == EOPNOTSUPP || errno == EINVAL) {
    return Error{
        ErrorCode::kUnsupported,
        "the kernel does not read memory in the place of a FUSE file: that takes Linux 6.9 or later, built with "
        "FUSE_PASSTHROUGH, and root outside of user namespaces"};
  }
  return SystemError("the kernel does not read memory in the place of a FUSE file", errno);
}

void RemoveBacking(int session_fd, uint32_t backing_id) { (void)::ioctl(session_fd, kBackingClose, &backing_id); }

int ReplyOpenWithBacking(fuse_req_t req, uint32_t backing_id) {
  const OpenReply reply = {0, kOpenPassthrough, static_cast<int32_t>(backing_id)};
  return fuse_reply_buf(req, reinterpret_cast<const char*>(&reply), sizeof reply);
}

}  // namespace entrofs::fs
