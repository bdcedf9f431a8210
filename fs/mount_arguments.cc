#include "fs/mount_arguments.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>

#include "base/units.h"

namespace entrofs::fs {
namespace {

// Says how something is mounted, but changes nothing here: the mount is read-only, nosuid and nodev in any case.
constexpr std::array kIgnored = {"defaults", "ro",       "rw",     "auto",   "noauto",     "user",       "nouser",
                                 "users",    "owner",    "group",  "nofail", "_netdev",    "suid",       "nosuid",
                                 "dev",      "nodev",    "exec",   "async",  "sync",       "atime",      "relatime",
                                 "noatime",  "diratime", "loud",   "silent", "nodiratime", "lazytime",   "nolazytime",
                                 "iversion", "mand",     "nomand", "fg",     "bg",         "strictatime"};
// The kernel's business.
constexpr std::array kKernelOptions = {"noexec", "dirsync"};

Result<uint32_t> ParseCount(std::string_view name, std::string_view text, uint32_t low, uint32_t high) {
  uint32_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    return Error{ErrorCode::kInvalidArgument, std::string(name) + ": '" + std::string(text) +
                                                  "' is not a number from " + std::to_string(low) + " to " +
                                                  std::to_string(high)};
  }
  return value;
}

std::optional<EngineKind> ParseEngine(std::string_view name) {
  if (name == "fuse") return EngineKind::kFuse;
  if (name == "erofs") return EngineKind::kErofs;
  if (name == "memory") return EngineKind::kMemory;
  if (name == "auto") return EngineKind::kAuto;
  return std::nullopt;
}

Status ApplyOne(std::string_view name, std::string_view value, MountOptions& options) {
  if (name == "cache_size") {
    ENTROFS_ASSIGN_OR_RETURN(options.cache_bytes, ParseBytes(value));
  } else if (name == "cache_policy" && (value == "lru" || value == "scan")) {
    options.cache_policy = value == "scan" ? CachePolicyKind::kScan : CachePolicyKind::kLru;
  } else if (std::optional<EngineKind> engine = ParseEngine(value); name == "engine" && engine) {
    options.engine = *engine;
  } else if (name == "threads") {
    ENTROFS_ASSIGN_OR_RETURN(options.threads, ParseCount(name, value, 1, 1024));
  } else if (name == "read_ahead_kb") {
    ENTROFS_ASSIGN_OR_RETURN(options.read_ahead_kb, ParseCount(name, value, 0, 1 << 20));
  } else if (name == "max_read") {
    ENTROFS_ASSIGN_OR_RETURN(options.max_read_bytes, ParseCount(name, value, 4096, 1 << 20));
  } else if (name == "archive_cache" && (value == "drop" || value == "keep")) {
    options.drop_archive_pages = value == "drop";
  } else if (name == "require_signature" && !value.empty()) {
    options.require_signature = value;
  } else if (name == "core_dumps" || name == "nocore_dumps") {
    options.core_dumps = name == "core_dumps";
  } else if (name == "archive_in_memory" && (value.empty() || value == "yes" || value == "lock")) {
    options.archive_memory = value == "lock" ? ArchiveMemory::kLocked : ArchiveMemory::kYes;
  } else if (name == "fill" && (value == "on" || value == "off")) {
    options.fill_pages = value == "on";
  } else if (name == "allow_other" || name == "noallow_other") {
    options.allow_other = name == "allow_other";
  } else if (std::find(kKernelOptions.begin(), kKernelOptions.end(), name) != kKernelOptions.end()) {
    options.kernel_options.emplace_back(name);
  } else if (std::find(kIgnored.begin(), kIgnored.end(), name) == kIgnored.end() && !name.starts_with("x-") &&
             !name.starts_with("X-") && name != "comment") {
    return Error{ErrorCode::kInvalidArgument, "unknown mount option '" + std::string(name) + "'"};
  }
  return OkStatus();
}

}  // namespace

Status ApplyMountOptions(std::string_view text, MountOptions& options) {
  while (!text.empty()) {
    std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    if (item.empty()) continue;
    size_t equals = std::min(item.find('='), item.size());
    std::string_view value = item.substr(std::min(equals + 1, item.size()));
    ENTROFS_RETURN_IF_ERROR(ApplyOne(item.substr(0, equals), value, options));
  }
  return OkStatus();
}

std::string_view MountOptionsHelp() {
  return "Mount options (-o NAME[=VALUE],...), which fstab takes, too:\n"
         "  cache_size=SIZE    as --cache-size\n"
         "  cache_policy=scan  as --cache-policy\n"
         "  engine=auto        as --engine\n"
         "  threads=N          as --threads\n"
         "  allow_other        as --allow-other; what root gets unless it says noallow_other\n"
         "  archive_cache=keep leave the archive's pages in the page cache although they are decoded (drop)\n"
         "  archive_in_memory  as --archive-in-memory; archive_in_memory=lock: never swapped, either\n"
         "  fill=off           leave the rest of a segment alone that a tiny read had decoded (on)\n"
         "  read_ahead_kb=N    how far the kernel reads ahead (2048, erofs 16384; only root can set it)\n"
         "  max_read=BYTES     the largest request of the kernel (1048576)\n"
         "  require_signature=KEY  as --require-signature\n"
         "  core_dumps         let a crash leave a core dump, and debuggers attach: both see decoded weights\n"
         "  noexec             programs in the mount cannot be run\n"
         "  ro, nofail, noauto, user, _netdev, x-... and the like are accepted and left to mount(8)\n";
}

}  // namespace entrofs::fs
