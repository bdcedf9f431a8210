#include "fs/mount_options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/units.h"

namespace entrofs::fs {
namespace {

// Says how something is mounted, but changes nothing here: the mount is read-only, nosuid and nodev in any case.
constexpr std::array kIgnored = {"defaults", "ro",       "rw",     "auto",   "noauto",     "user",       "nouser",
                                 "users",    "owner",    "group",  "nofail", "_netdev",    "suid",       "nosuid",
                                 "dev",      "nodev",    "exec",   "async",  "sync",       "atime",      "relatime",
                                 "noatime",  "diratime", "loud",   "silent", "nodiratime", "lazytime",   "nolazytime",
                                 "iversion", "mand",     "nomand", "fg",     "bg",         "strictatime"};

// A count from kLow to kHigh.
template <auto kMember, uint32_t kLow, uint32_t kHigh>
Status SetCount(std::string_view value, MountOptions& options) {
  uint32_t count = 0;
  const char* const text_end = value.data() + value.size();
  const auto [end, error] = std::from_chars(value.data(), text_end, count);
  if (error != std::errc() || end != text_end || count < kLow || count > kHigh) {
    return Error{ErrorCode::kInvalidArgument, "'" + std::string(value) + "' is not a number from " +
                                                  std::to_string(kLow) + " to " + std::to_string(kHigh)};
  }
  options.*kMember = count;
  return OkStatus();
}

template <auto kMember>
Status SetYesOrNo(std::string_view value, MountOptions& options) {
  options.*kMember = value == "yes";
  return OkStatus();
}

Status SetCacheSize(std::string_view value, MountOptions& options) {
  ENTROFS_ASSIGN_OR_RETURN(options.cache_bytes, ParseBytes(value));
  return OkStatus();
}

Status SetCachePolicy(std::string_view value, MountOptions& options) {
  options.cache_policy = value == "scan" ? CachePolicyKind::kScan : CachePolicyKind::kLru;
  return OkStatus();
}

Status SetEngine(std::string_view value, MountOptions& options) {
  options.engine = value == "erofs"    ? EngineKind::kErofs
                   : value == "memory" ? EngineKind::kMemory
                   : value == "auto"   ? EngineKind::kAuto
                                       : EngineKind::kFuse;
  return OkStatus();
}

Status SetView(std::string_view value, MountOptions& options) {
  options.view = value;
  return OkStatus();
}

Status SetRequireSignature(std::string_view value, MountOptions& options) {
  options.require_signature = value;
  return OkStatus();
}

Status SetArchiveMemory(std::string_view value, MountOptions& options) {
  options.archive_memory = value == "lock" ? ArchiveMemory::kLocked : ArchiveMemory::kYes;
  return OkStatus();
}

Status SetArchiveCache(std::string_view value, MountOptions& options) {
  options.drop_archive_pages = value == "drop";
  return OkStatus();
}

Status SetFill(std::string_view value, MountOptions& options) {
  options.fill_pages = value == "on";
  return OkStatus();
}

template <const char* kName>
Status SetKernelOption(std::string_view /*value*/, MountOptions& options) {
  options.kernel_options.emplace_back(kName);
  return OkStatus();
}
constexpr char kNoexec[] = "noexec";
constexpr char kDirsync[] = "dirsync";

using Takes = MountOption::Takes;
constexpr MountOption kOptions[] = {
    {"cache_size", Takes::kValue, "SIZE", "how much decoded data to keep, like 64M (16M)", SetCacheSize},
    {"cache_policy", Takes::kValue, "lru|scan",
     "lru keeps what was read last; scan also keeps a fixed part of a model that is larger than memory (lru)",
     SetCachePolicy},
    {"engine", Takes::kValue, "fuse|erofs|memory|auto",
     "erofs: the kernel's EROFS shows the files, faster and with larger pages, but without O_DIRECT\n"
     "(root, Linux 6.12); memory: each file is decoded into memory when it is opened, the fastest where\n"
     "there is room (root, Linux 6.9); auto: erofs where it works, otherwise fuse (fuse)",
     SetEngine},
    {"threads", Takes::kValue, "N", "how many threads decode, from 1 to 1024 (one for each CPU)",
     SetCount<&MountOptions::threads, 1, 1024>},
    {"allow_other", Takes::kYesOrNo, "",
     "let other users read, too; needs user_allow_other in /etc/fuse.conf unless you are root (root: yes)",
     SetYesOrNo<&MountOptions::allow_other>},
    {"view", Takes::kValue, "NAME",
     "which of the archive's views to show; entro-pack inspect lists them (the archive's default)", SetView},
    {"require_signature", Takes::kValue, "PUBLIC_KEY",
     "serve FILE only if FILE.sig was signed with the private half of this key (see entro-pack sign)",
     SetRequireSignature},
    {"archive_in_memory", Takes::kOptionalValue, "yes|lock",
     "keep a copy of the whole archive in memory; lock: never swap it out", SetArchiveMemory},
    {"archive_cache", Takes::kValue, "drop|keep",
     "whether the archive's pages stay in the page cache after they are decoded (drop)", SetArchiveCache},
    {"fill", Takes::kValue, "on|off",
     "whether a tiny read puts the rest of its decoded segment into the page cache (on)", SetFill},
    {"read_ahead_kb", Takes::kValue, "N", "how far the kernel reads ahead; only root can set it (2048, erofs 16384)",
     SetCount<&MountOptions::read_ahead_kb, 0, 1 << 20>},
    {"max_read", Takes::kValue, "BYTES", "the largest request of the kernel (1048576)",
     SetCount<&MountOptions::max_read_bytes, 4096, 1 << 20>},
    {"core_dumps", Takes::kYesOrNo, "", "allow core dumps and debuggers: both see decoded weights (no)",
     SetYesOrNo<&MountOptions::core_dumps>},
    {kNoexec, Takes::kNothing, "", "programs in the mount cannot be run", SetKernelOption<kNoexec>},
    {kDirsync, Takes::kNothing, "", "passed on to the kernel", SetKernelOption<kDirsync>},
};

const MountOption* FindOption(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kOptions), std::end(kOptions),
                                         [name](const MountOption& option) { return option.name == name; });
  return found == std::end(kOptions) ? nullptr : found;
}

// Whether `value` is one of the words of "lru|scan"; true for every other syntax.
bool IsAllowed(std::string_view syntax, std::string_view value) {
  if (syntax.find('|') == std::string_view::npos) return true;
  while (!syntax.empty()) {
    const std::string_view word = syntax.substr(0, syntax.find('|'));
    if (word == value) return true;
    syntax.remove_prefix(std::min(syntax.size(), word.size() + 1));
  }
  return false;
}

bool IsForeign(std::string_view name) {
  return std::find(kIgnored.begin(), kIgnored.end(), name) != kIgnored.end() || name.starts_with("x-") ||
         name.starts_with("X-") || name == "comment";
}

// One name or name=value of -o.
Status ApplyItem(std::string_view item, MountOptions& options) {
  const size_t equals = item.find('=');
  const std::string_view name = item.substr(0, equals);
  const bool has_value = equals != std::string_view::npos;
  const std::string_view value = has_value ? item.substr(equals + 1) : std::string_view();
  if (const MountOption* option = FindOption(name)) {
    if (option->takes == Takes::kOptionalValue && value.empty()) return option->set("yes", options);
    if (option->takes == Takes::kYesOrNo || option->takes == Takes::kNothing) return option->set("yes", options);
    return ApplyMountOption(*option, name, value, options);
  }
  if (name.starts_with("no")) {
    const MountOption* option = FindOption(name.substr(2));
    if (option != nullptr && option->takes == Takes::kYesOrNo) return option->set("no", options);
  }
  if (IsForeign(name)) return OkStatus();
  return Error{ErrorCode::kInvalidArgument, "unknown mount option '" + std::string(name) + "'"};
}

}  // namespace

std::span<const MountOption> MountOptionTable() { return kOptions; }

Status ApplyMountOption(const MountOption& option, std::string_view written, std::string_view value,
                        MountOptions& options) {
  if (option.takes == Takes::kValue && value.empty()) {
    return Error{ErrorCode::kInvalidArgument, std::string(written) + " needs a value: " + std::string(option.syntax)};
  }
  if (!IsAllowed(option.syntax, value)) {
    return Error{ErrorCode::kInvalidArgument,
                 std::string(written) + ": '" + std::string(value) + "' is not one of " + std::string(option.syntax)};
  }
  Status status = option.set(value, options);
  if (!status) return std::move(status.error()).WithContext(std::string(written));
  return status;
}

Status ApplyMountOptions(std::string_view text, MountOptions& options) {
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    if (item.empty()) continue;
    ENTROFS_RETURN_IF_ERROR(ApplyItem(item, options));
  }
  return OkStatus();
}

}  // namespace entrofs::fs
