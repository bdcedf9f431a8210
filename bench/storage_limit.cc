#include "bench/storage_limit.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace entrofs::bench {
namespace {

namespace stdfs = std::filesystem;

constexpr char kVersion1[] = "/sys/fs/cgroup/blkio";
constexpr char kVersion2[] = "/sys/fs/cgroup";

bool WriteText(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

// "major:minor" of the disk; limits are not for its partitions.
std::string DiskOf(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0 || major(info.st_dev) == 0) return "";
  const std::string number = std::to_string(major(info.st_dev)) + ":" + std::to_string(minor(info.st_dev));
  const std::string device = "/sys/dev/block/" + number;
  std::ifstream whole(device + (stdfs::exists(device + "/partition") ? "/../dev" : "/dev"));
  std::string disk;
  whole >> disk;
  return disk;
}

Error NoLimit(const std::string& why) { return Error{ErrorCode::kUnsupported, "cannot limit the storage: " + why}; }

}  // namespace

Result<StorageLimit> StorageLimit::Set(const std::string& path, uint64_t bytes_per_second) {
  const std::string disk = DiskOf(path);
  if (disk.empty()) return NoLimit(path + " is on no disk");
  const bool is_version_1 = stdfs::exists(kVersion1);
  const std::string parent = is_version_1 ? kVersion1 : kVersion2;
  if (!is_version_1) WriteText(parent + "/cgroup.subtree_control", "+io");
  StorageLimit limit(parent + "/entro-bench." + std::to_string(::getpid()), parent);
  std::error_code error;
  if (!stdfs::create_directory(limit.group_, error)) return NoLimit("cannot create " + limit.group_);
  const std::string rate = std::to_string(bytes_per_second);
  const bool is_set = is_version_1
                          ? WriteText(limit.group_ + "/blkio.throttle.read_bps_device", disk + " " + rate + "\n")
                          : WriteText(limit.group_ + "/io.max", disk + " rbps=" + rate + "\n");
  if (!is_set || !WriteText(limit.group_ + "/cgroup.procs", std::to_string(::getpid()))) {
    return NoLimit(limit.group_ + " does not take it");
  }
  return limit;
}

StorageLimit::~StorageLimit() {
  if (group_.empty()) return;
  WriteText(parent_ + "/cgroup.procs", std::to_string(::getpid()));
  for (int i = 0; i < 500 && ::rmdir(group_.c_str()) != 0; ++i) ::usleep(10000);
}

}  // namespace entrofs::bench
