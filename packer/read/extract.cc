#include "packer/read/extract.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/file.h"
#include "base/hash.h"
#include "packer/read/stream_file.h"
#include "packer/read/temporary_directory.h"

namespace entrofs::packer::read {
namespace {

namespace stdfs = std::filesystem;

// A file being written for the first time.
class OutputDescriptor {
 public:
  static Result<std::unique_ptr<OutputDescriptor>> Create(const std::string& path) {
    int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return SystemError("cannot create " + path, errno);
    return std::unique_ptr<OutputDescriptor>(new OutputDescriptor(path, fd));
  }
  ~OutputDescriptor() { ::close(fd_); }
  OutputDescriptor(const OutputDescriptor&) = delete;
  OutputDescriptor& operator=(const OutputDescriptor&) = delete;

  Status Write(ByteSpan bytes) {
    while (!bytes.empty()) {
      ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return SystemError("cannot write " + path_, errno);
      bytes = bytes.subspan(static_cast<size_t>(n));
    }
    return OkStatus();
  }

  Status Sync() {
    if (::fsync(fd_) != 0) return SystemError("cannot sync " + path_, errno);
    return OkStatus();
  }

  Status SetModeAndTime(uint32_t mode, int64_t mtime_ns) {
    if (::fchmod(fd_, mode & 0777) != 0) return SystemError("cannot set the mode of " + path_, errno);
    int64_t seconds = mtime_ns / 1'000'000'000;
    int64_t nanoseconds = mtime_ns % 1'000'000'000;
    if (nanoseconds < 0) {
      --seconds;
      nanoseconds += 1'000'000'000;
    }
    timespec times[2];
    times[0].tv_sec = 0;
    times[0].tv_nsec = UTIME_NOW;
    times[1].tv_sec = seconds;
    times[1].tv_nsec = static_cast<long>(nanoseconds);
    if (::futimens(fd_, times) != 0) return SystemError("cannot set the time of " + path_, errno);
    return OkStatus();
  }

 private:
  OutputDescriptor(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  const std::string path_;
  const int fd_;
};

// Creates the directories of `relative` below `root`. Never `root` itself: once removed it stays so.
Status MakeDirectories(const stdfs::path& root, const stdfs::path& relative) {
  stdfs::path path = root;
  for (const stdfs::path& part : relative) {
    path /= part;
    if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST)
      return SystemError("cannot create " + path.string(), errno);
  }
  return OkStatus();
}

Status ExtractFile(const view::ViewReader& view, const view::File& file, const stdfs::path& folder, ThreadPool& pool,
                   Progress& progress) {
  const stdfs::path path = folder / file.path;
  ENTROFS_RETURN_IF_ERROR(MakeDirectories(folder, stdfs::path(file.path).parent_path()));
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<OutputDescriptor> output, OutputDescriptor::Create(path.string()));
  StreamHash128 hash;
  ENTROFS_RETURN_IF_ERROR(StreamFile(view, file, pool, [&](StreamedSegment segment) -> Status {
    if (!segment.bytes) return std::move(segment.bytes.error()).WithContext(file.path);
    progress.Advance(segment.bytes->size());
    hash.Update(*segment.bytes);
    return output->Write(*segment.bytes);
  }));
  if (hash.Digest() != file.hash) {
    return Error{ErrorCode::kCorrupt, file.path + ": content does not match the hash in the index"};
  }
  ENTROFS_RETURN_IF_ERROR(output->SetModeAndTime(file.mode, file.mtime_ns));
  return output->Sync();
}

}  // namespace

Status Extract(const view::ViewReader& view, const std::string& target, ThreadPool& pool, Progress& progress) {
  progress.Start("extracting", view.size_bytes());
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<TemporaryDirectory> directory, TemporaryDirectory::Create(target));
  for (const std::string& path : view.directories()) {
    ENTROFS_RETURN_IF_ERROR(MakeDirectories(directory->path(), path));
  }
  for (const view::File& file : view.files()) {
    ENTROFS_RETURN_IF_ERROR(ExtractFile(view, file, directory->path(), pool, progress));
  }
  return directory->Commit();
}

}  // namespace entrofs::packer::read
