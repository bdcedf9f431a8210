#include "packer/source/source_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <limits>

namespace entrofs::packer::source {
namespace {

// Some file systems keep times that 64 bits of nanoseconds do not: those get the nearest that they do, in 1677 or 2262.
int64_t Nanoseconds(const timespec& time) {
  int64_t nanoseconds = 0;
  if (__builtin_mul_overflow(int64_t{time.tv_sec}, 1'000'000'000, &nanoseconds) ||
      __builtin_add_overflow(nanoseconds, int64_t{time.tv_nsec}, &nanoseconds)) {
    return time.tv_sec < 0 ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
  }
  return nanoseconds;
}

}  // namespace

Result<std::shared_ptr<const RandomAccessFile>> OpenFiles::Get(const std::string& path) {
  std::lock_guard lock(mutex_);
  auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.path == path; });
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
    return entries_.front().file;
  }
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, OpenForReading(path));
  entries_.push_front({path, std::move(file)});
  if (entries_.size() > kMaxOpen) entries_.pop_back();
  return entries_.front().file;
}

Result<FileIdentity> IdentityOf(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return SystemError("cannot read " + path, errno);
  FileIdentity identity;
  identity.device = info.st_dev;
  identity.inode = info.st_ino;
  identity.size_bytes = static_cast<uint64_t>(info.st_size);
  identity.mtime_ns = Nanoseconds(info.st_mtim);
  identity.mode = info.st_mode & 0777;
  return identity;
}

SourceFile::SourceFile(std::string path, FileIdentity identity, std::shared_ptr<OpenFiles> open_files)
    : path_(std::move(path)), identity_(identity), open_files_(std::move(open_files)) {}

Status SourceFile::ReadAt(uint64_t offset, MutableByteSpan out) const {
  ENTROFS_ASSIGN_OR_RETURN(std::shared_ptr<const RandomAccessFile> file, open_files_->Get(path_));
  if (file->size() != identity_.size_bytes) return CheckUnchanged();
  return file->ReadAt(offset, out);
}

void SourceFile::DropCached(uint64_t offset, uint64_t length) const {
  if (auto file = open_files_->Get(path_)) (*file)->DropCached(offset, length);
}

Status SourceFile::CheckUnchanged() const {
  ENTROFS_ASSIGN_OR_RETURN(FileIdentity now, IdentityOf(path_));
  if (now == identity_) return OkStatus();
  return Error{ErrorCode::kIo, path_ + ": was changed while it was read"};
}

}  // namespace entrofs::packer::source
