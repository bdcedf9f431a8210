#include "fs/privileges.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace entrofs::fs {
namespace {

constexpr rlim_t kMostDescriptors = 1024;
// Mounting and unmounting, also at a place that only its owner may enter.
constexpr uint32_t kKeptCapabilities = 1u << CAP_SYS_ADMIN | 1u << CAP_DAC_READ_SEARCH;

void Lower(decltype(RLIMIT_CORE) resource, rlim_t most) {
  rlimit limit = {};
  if (::getrlimit(resource, &limit) != 0) return;
  limit.rlim_cur = std::min(limit.rlim_cur, most);
  limit.rlim_max = std::min(limit.rlim_max, most);
  (void)::setrlimit(resource, &limit);
}

void DropCapabilities() {
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    const bool kept = capability < 32 && (kKeptCapabilities >> capability & 1) != 0;
    if (!kept) (void)::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {};
  if (::syscall(SYS_capget, &header, sets) != 0) return;
  sets[0].permitted &= kKeptCapabilities;
  sets[1].permitted = 0;
  for (__user_cap_data_struct& set : sets) {
    set.effective = set.permitted;
    set.inheritable = 0;
  }
  (void)::syscall(SYS_capset, &header, sets);
}

}  // namespace

void DropPrivileges(bool keeps_core_dumps) {
  if (!keeps_core_dumps) Lower(RLIMIT_CORE, 0);
  // The limit is not asked where /proc/sys/kernel/core_pattern hands dumps to a program.
  if (!keeps_core_dumps) (void)::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  Lower(RLIMIT_NOFILE, kMostDescriptors);
  if (::geteuid() != 0) return;
  (void)::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  DropCapabilities();
}

}  // namespace entrofs::fs
