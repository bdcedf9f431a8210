#pragma once

// The one place that says which libfuse interface is used: the low-level one as of 3.12, which Debian 12 has. The build
// says which version is there; of older ones (3.10 is JetPack's and Ubuntu 22.04's) what they lack is made up for here.
#if ENTROFS_FUSE_VERSION >= 312
#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#else
#define FUSE_USE_VERSION 35
#include <fuse_lowlevel.h>

#include <new>

inline fuse_loop_config* fuse_loop_cfg_create() { return new (std::nothrow) fuse_loop_config{}; }
inline void fuse_loop_cfg_destroy(fuse_loop_config* config) { delete config; }
// Busy threads are not limited in number there, only those kept when idle.
inline void fuse_loop_cfg_set_max_threads(fuse_loop_config* /*config*/, unsigned /*count*/) {}
inline void fuse_loop_cfg_set_idle_threads(fuse_loop_config* config, unsigned count) {
  config->max_idle_threads = count;
}
#endif

#if ENTROFS_FUSE_VERSION < 314
#include <sys/types.h>
#include <sys/uio.h>

#include <cerrno>

struct fuse_custom_io {
  ssize_t (*writev)(int fd, iovec* parts, int count, void* userdata);
  ssize_t (*read)(int fd, void* buffer, size_t size, void* userdata);
};
inline int fuse_session_custom_io(fuse_session* /*session*/, const fuse_custom_io* /*io*/, int /*fd*/) {
  return -ENOSYS;
}
#endif
