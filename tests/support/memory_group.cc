#include "tests/support/memory_group.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>

namespace entrofs::testing_support {
namespace {

bool Put(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

std::string NewName() {
  static std::atomic<int> number{0};
  return "/entrofs-test." + std::to_string(::getpid()) + "." + std::to_string(number++);
}

}  // namespace

std::optional<MemoryGroup> MemoryGroup::Make(uint64_t limit_bytes) {
  const std::string limit = std::to_string(limit_bytes);
  struct Version {
    const char* root;
    const char* limit_file;
  };
  (void)Put("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
  for (const Version& version :
       {Version{"/sys/fs/cgroup/memory", "/memory.limit_in_bytes"}, Version{"/sys/fs/cgroup", "/memory.max"}}) {
    const std::string folder = version.root + NewName();
    if (::mkdir(folder.c_str(), 0755) != 0) continue;
    MemoryGroup group(folder);
    struct stat info;
    if (::stat((folder + version.limit_file).c_str(), &info) == 0 && Put(folder + version.limit_file, limit)) {
      return group;
    }
  }
  return std::nullopt;
}

MemoryGroup::~MemoryGroup() {
  // Processes that have just ended are still counted for a moment.
  for (int i = 0; !folder_.empty() && ::rmdir(folder_.c_str()) != 0 && i < 200; ++i) ::usleep(10'000);
}

bool MemoryGroup::Add(int pid) const {
  return Put(folder_ + "/cgroup.procs", std::to_string(pid == 0 ? ::getpid() : pid));
}

}  // namespace entrofs::testing_support
