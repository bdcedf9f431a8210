#include "packer/read/temporary_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>

#include "base/file.h"
#include "base/file_descriptor.h"

namespace entrofs::packer::read {
namespace {

namespace stdfs = std::filesystem;

// Descriptors held so that a directory can be removed although no other is left: removal opens one at each depth.
using Spares = std::array<FileDescriptor, 4>;

Result<Spares> TakeSpares() {
  Spares spares;
  for (FileDescriptor& spare : spares) {
    spare.set(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!spare.ok()) return SystemError("cannot open /", errno);
  }
  return spares;
}

struct Registry {
  std::mutex mutex;
  bool ended = false;
  std::map<std::string, Spares> paths;
};
Registry& TheRegistry() {
  static Registry registry;
  return registry;
}

// "/a/b" for "/a/b/", so that the temporary name is beside it and not inside.
std::string WithoutTrailingSlashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// Makes the entries of a folder durable.
Status SyncFolder(const std::string& folder) {
  int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return SystemError("cannot open " + folder, errno);
  const int failed = ::fsync(fd) != 0 ? errno : 0;
  ::close(fd);
  // Some file systems cannot sync folders; the files themselves are safe by then.
  if (failed == EIO) return SystemError("cannot sync " + folder, failed);
  return OkStatus();
}

// The same for all folders below and including this one.
Status SyncFolders(const std::string& root) {
  ENTROFS_RETURN_IF_ERROR(SyncFolder(root));
  std::error_code code;
  for (stdfs::recursive_directory_iterator it(root, code), end; !code && it != end; it.increment(code)) {
    if (it->is_directory(code) && !it->is_symlink(code)) ENTROFS_RETURN_IF_ERROR(SyncFolder(it->path().string()));
  }
  if (code) return SystemError("cannot read " + root, code.value());
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<TemporaryDirectory>> TemporaryDirectory::Create(const std::string& target_path) {
  const std::string target = WithoutTrailingSlashes(target_path);
  std::error_code code;
  const stdfs::file_status status = stdfs::symlink_status(target, code);
  if (stdfs::exists(status)) {
    if (!stdfs::is_directory(status)) return Error{ErrorCode::kAlreadyExists, target + ": is not a directory"};
    const bool empty = stdfs::is_empty(target, code);
    if (code) return SystemError("cannot read " + target, code.value());
    if (!empty) return Error{ErrorCode::kAlreadyExists, target + ": exists and is not empty"};
  }
  // Made before the lock is taken: its destruction takes it, too.
  std::unique_ptr<TemporaryDirectory> directory(new TemporaryDirectory(target, TemporaryName(target)));
  ENTROFS_ASSIGN_OR_RETURN(Spares spares, TakeSpares());
  Registry& registry = TheRegistry();
  std::lock_guard lock(registry.mutex);
  if (registry.ended) return Error{ErrorCode::kCancelled, "interrupted"};
  if (::mkdir(directory->shelter_.c_str(), 0700) != 0) return SystemError("cannot create " + target, errno);
  registry.paths.emplace(directory->shelter_, std::move(spares));
  // The kernel applies the umask to this one.
  if (::mkdir(directory->path_.c_str(), 0777) == 0) return directory;
  const int failed = errno;
  registry.paths.erase(directory->shelter_);
  ::rmdir(directory->shelter_.c_str());
  return SystemError("cannot create " + target, failed);
}

TemporaryDirectory::TemporaryDirectory(std::string target, std::string shelter)
    : target_(std::move(target)), shelter_(std::move(shelter)), path_(shelter_ + "/content") {}

TemporaryDirectory::~TemporaryDirectory() {
  Registry& registry = TheRegistry();
  std::lock_guard lock(registry.mutex);
  if (registry.paths.erase(shelter_) == 0) return;
  std::error_code ignored;
  stdfs::remove_all(shelter_, ignored);
}

Status TemporaryDirectory::Commit() {
  ENTROFS_RETURN_IF_ERROR(SyncFolders(path_));
  Registry& registry = TheRegistry();
  std::lock_guard lock(registry.mutex);
  if (registry.ended) return Error{ErrorCode::kCancelled, "interrupted"};
  if (std::rename(path_.c_str(), target_.c_str()) != 0) return SystemError("cannot create " + target_, errno);
  registry.paths.erase(shelter_);
  ::rmdir(shelter_.c_str());
  const std::string parent = stdfs::path(target_).parent_path().string();
  return SyncFolder(parent.empty() ? "." : parent);
}

void TemporaryDirectory::RemoveAll() {
  Registry& registry = TheRegistry();
  std::lock_guard lock(registry.mutex);
  registry.ended = true;
  // A file that another thread creates meanwhile makes a removal fail: try again.
  constexpr int kTries = 1000;
  for (auto& [path, spares] : registry.paths) {
    spares = Spares();
    std::error_code code;
    for (int i = 0; i < kTries && stdfs::exists(path); ++i) stdfs::remove_all(path, code);
  }
}

}  // namespace entrofs::packer::read
