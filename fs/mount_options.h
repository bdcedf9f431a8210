#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// What a mount can be asked for, and the names under which it is.
namespace entrofs::fs {

// Which file system of the kernel shows the files.
enum class EngineKind {
  kFuse,    // FUSE itself
  kErofs,   // EROFS over our FUSE mount: large pages in the page cache; root only, Linux 6.12 or later
  kMemory,  // FUSE, which shows memory that files are decoded into when they are opened; root only, Linux 6.9 or later
  kAuto,    // kErofs where it works, else kFuse
};

// Which decoded segments a mount keeps.
enum class CachePolicyKind {
  kLru,   // what was read in part lately; the kernel's page cache keeps the rest
  kScan,  // besides, a fixed part of models that do not fit into memory
};

// Whether the whole archive is kept in the daemon's memory.
enum class ArchiveMemory {
  kNo,
  kYes,
  kLocked,  // and is never swapped
};

// How far the kernel reads ahead of a FUSE mount that nobody has asked otherwise for.
inline constexpr uint32_t kFuseReadAheadKb = 2048;

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
  // The view of the archive to show; empty: its default one.
  std::string view;
  // Whether a crash may leave a core dump, which would hold decoded weights.
  bool core_dumps = false;
  // Further options for the kernel ("noexec"), already checked.
  std::vector<std::string> kernel_options;
};

// An option of a mount: `name` in -o and in fstab, and on the command line --name with '-' in the place of '_'.
struct MountOption {
  enum class Takes {
    kNothing,        // name
    kYesOrNo,        // name or noname; `set` gets "yes" or "no"
    kOptionalValue,  // name or name=value; `set` gets "yes" when there is none
    kValue,          // name=value
  };
  std::string_view name;
  Takes takes;
  // How a value is written, for the help: "SIZE". Words between '|' are the only ones allowed, which is checked before
  // `set` is called.
  std::string_view syntax;
  std::string_view help;  // one line or more, the default in brackets at the end
  // kInvalidArgument, without the option's name, for a value it does not understand.
  Status (*set)(std::string_view value, MountOptions& options);
};

// Every option that changes a mount. The command line, -o and the help are made from this one table.
std::span<const MountOption> MountOptionTable();

// Sets one option. `written` is the name as the user wrote it, for the error: kInvalidArgument.
Status ApplyMountOption(const MountOption& option, std::string_view written, std::string_view value,
                        MountOptions& options);

// Applies the value of one `-o`: names and name=value pairs between commas, those of the table ("cache_size=1G") and
// those mount(8) and fstab bring along ("ro", "nofail", "x-systemd.automount"). kInvalidArgument names what is unknown.
Status ApplyMountOptions(std::string_view text, MountOptions& options);

}  // namespace entrofs::fs
