#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "fs/cache_policy_kind.h"
#include "fs/engine_kind.h"

// Mounting as one call.
namespace entrofs::fs {

// Whether the whole archive is kept in the daemon's memory.
enum class ArchiveMemory {
  kNo,
  kYes,
  kLocked,  // and is never swapped
};

struct MountOptions {
  std::string archive_path;
  std::string mount_point;
  // Stay in the foreground, log to stderr. Otherwise return when the mount is up and log to syslog.
  bool foreground = false;
  size_t cache_bytes = 16 << 20;
  CachePolicyKind cache_policy = CachePolicyKind::kLru;
  size_t threads = 0;  // that decode; 0: as many as there are CPUs
  // Whether users other than the one who mounts may read, as far as the archive's own mode lets them read it.
  bool allow_other = false;
  // Take the archive's pages out of the page cache once they are decoded, so that memory holds a model once.
  bool drop_archive_pages = true;
  EngineKind engine = EngineKind::kFuse;
  // The kernel's read-ahead per open file; only root can set it. Otherwise what suits the engine.
  std::optional<uint32_t> read_ahead_kb;
  ArchiveMemory archive_memory = ArchiveMemory::kNo;
  // Put what surrounds tiny reads into the page cache.
  bool fill_pages = true;
  // The largest read request.
  uint32_t max_read_bytes = 1 << 20;
  // The public key (PEM) that the archive's signature must have been made with; empty: none is asked for.
  std::string require_signature;
  // Whether a crash may leave a core dump, which would hold decoded weights.
  bool core_dumps = false;
  // Further options for the kernel ("noexec"), already checked.
  std::vector<std::string> kernel_options;
};

// Mounts and serves until the file system is unmounted or the process is told to end (SIGTERM, SIGINT, SIGHUP). In the
// background case the caller's process returns as soon as the mount answers, and a child serves.
// A dead mount of ours at the same place is removed first. Errors: what the user needs to know, as one line.
Status Mount(const MountOptions& options);

}  // namespace entrofs::fs
