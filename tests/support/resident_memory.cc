#include "tests/support/resident_memory.h"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace entrofs::testing_support {
namespace {

// A line of /proc/self/status in bytes. ru_maxrss would do, but a child inherits its parent's.
int64_t StatusBytes(const char* name) {
  std::FILE* file = std::fopen("/proc/self/status", "re");
  if (file == nullptr) return -1;
  char line[256];
  long long kibibytes = -1;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (std::strncmp(line, name, std::strlen(name)) == 0) std::sscanf(line + std::strlen(name), ": %lld", &kibibytes);
  }
  std::fclose(file);
  return kibibytes < 0 ? -1 : kibibytes * 1024;
}

// Makes VmHWM start again from what is resident now.
void ResetPeak() {
  std::FILE* file = std::fopen("/proc/self/clear_refs", "we");
  if (file == nullptr) return;
  std::fputs("5", file);
  std::fclose(file);
}

int64_t GrowthOf(const std::function<bool()>& body) {
  ::malloc_trim(0);
  ResetPeak();
  int64_t before = StatusBytes("VmRSS");
  if (!body()) return -1;
  return StatusBytes("VmHWM") - before;
}

}  // namespace

int64_t PeakMemoryGrowth(const std::function<bool()>& body) {
  int ends[2];
  if (::pipe(ends) != 0) return -1;
  pid_t child = ::fork();
  if (child == 0) {
    int64_t growth = GrowthOf(body);
    bool written = ::write(ends[1], &growth, sizeof growth) == sizeof growth;
    ::_exit(written ? 0 : 1);
  }
  ::close(ends[1]);
  int64_t growth = -1;
  if (child < 0 || ::read(ends[0], &growth, sizeof growth) != sizeof growth) growth = -1;
  ::close(ends[0]);
  if (child > 0) ::waitpid(child, nullptr, 0);
  return growth;
}

}  // namespace entrofs::testing_support
