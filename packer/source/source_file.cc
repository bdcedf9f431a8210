#include "packer/source/source_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace entrofs::packer::source {

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
  identity.mtime_ns = int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
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
