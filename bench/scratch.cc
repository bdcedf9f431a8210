#include "bench/scratch.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/buffer.h"
#include "base/file.h"
#include "bench/process.h"

namespace entrofs::bench {
namespace {

constexpr size_t kPieceBytes = 1 << 20;
constexpr size_t kPageBytes = 4096;
// Of pretouched memory: free at any time, and given back between two looks.
constexpr uint64_t kReadyBytes = 512 << 20;
constexpr uint64_t kGivenAtOnceBytes = 16 << 20;
constexpr std::chrono::milliseconds kCheckInterval(1);

uint64_t FreeMemoryBytes() {
  struct sysinfo info;
  return ::sysinfo(&info) == 0 ? uint64_t{info.freeram} * info.mem_unit : 0;
}

Status WriteAll(int fd, ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0) return SystemError("cannot write a copy of the model", errno);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return OkStatus();
}

Status CopyInto(int fd, const std::string& from, uint64_t size_bytes, size_t piece_bytes) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, OpenForReading(from));
  Buffer buffer(kPieceBytes);
  for (uint64_t offset = 0; offset < size_bytes; offset += kPieceBytes) {
    ENTROFS_RETURN_IF_ERROR(CheckInterrupted());
    MutableByteSpan piece = buffer.span().first(std::min<uint64_t>(kPieceBytes, size_bytes - offset));
    ENTROFS_RETURN_IF_ERROR(file->ReadAt(offset, piece));
    for (size_t at = 0; at < piece.size(); at += piece_bytes) {
      ENTROFS_RETURN_IF_ERROR(WriteAll(fd, piece.subspan(at, std::min(piece_bytes, piece.size() - at))));
    }
  }
  if (::fsync(fd) != 0) return SystemError("cannot write a copy of the model", errno);
  return OkStatus();
}

}  // namespace

Result<ScratchFolder> ScratchFolder::Make(const std::string& keep) {
  std::error_code error;
  if (!keep.empty()) {
    std::filesystem::create_directories(keep, error);
    if (error) return SystemError("cannot create " + keep, error.value());
    return ScratchFolder(std::filesystem::absolute(keep).string(), true);
  }
  const char* base = std::getenv("TMPDIR");
  std::string path = std::string(base != nullptr ? base : "/var/tmp") + "/entro-bench.XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return SystemError("cannot create " + path, errno);
  return ScratchFolder(path, false);
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  if (!is_kept_) std::filesystem::remove_all(path_, ignored);
}

Result<NamelessFile> NamelessFile::Copy(const std::string& folder, const std::string& from, uint64_t size_bytes,
                                        size_t piece_bytes) {
  NamelessFile file(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file.fd_ < 0) return SystemError("cannot create a file in " + folder, errno);
  ENTROFS_RETURN_IF_ERROR(CopyInto(file.fd_, from, size_bytes, piece_bytes));
  return file;
}

NamelessFile::~NamelessFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status FillPageCache(const std::string& path) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, OpenForReading(path));
  Buffer buffer(kPieceBytes);
  for (uint64_t offset = 0; offset < file->size(); offset += kPieceBytes) {
    ENTROFS_RETURN_IF_ERROR(
        file->ReadAt(offset, buffer.span().first(std::min<uint64_t>(kPieceBytes, file->size() - offset))));
  }
  return OkStatus();
}

void DropFromPageCache(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  ::close(fd);
}

Status CompareFiles(const std::string& a, const std::string& b, uint64_t size_bytes) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file_a, OpenForReading(a));
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file_b, OpenForReading(b));
  Buffer bytes_a(kPieceBytes), bytes_b(kPieceBytes);
  for (uint64_t offset = 0; offset < size_bytes; offset += kPieceBytes) {
    ENTROFS_RETURN_IF_ERROR(CheckInterrupted());
    const size_t count = std::min<uint64_t>(kPieceBytes, size_bytes - offset);
    ENTROFS_RETURN_IF_ERROR(file_a->ReadAt(offset, bytes_a.span().first(count)));
    ENTROFS_RETURN_IF_ERROR(file_b->ReadAt(offset, bytes_b.span().first(count)));
    if (std::memcmp(bytes_a.data(), bytes_b.data(), count) != 0) {
      return Error{ErrorCode::kCorrupt, a + ": differs from the plain file after offset " + std::to_string(offset)};
    }
  }
  return OkStatus();
}

std::string FileSystemName(const std::string& path) {
  struct statfs info;
  if (::statfs(path.c_str(), &info) != 0) return "disk";
  switch (info.f_type) {
    case EXT4_SUPER_MAGIC:
      return "ext4";
    case TMPFS_MAGIC:
      return "tmpfs";
    case XFS_SUPER_MAGIC:
      return "xfs";
    case BTRFS_SUPER_MAGIC:
      return "btrfs";
    case OVERLAYFS_SUPER_MAGIC:
      return "overlay";
    default:
      return "disk";
  }
}

PretouchedMemory::PretouchedMemory(uint64_t bytes, bool in_large_pages) : bytes_(bytes) {
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return;
  data_ = static_cast<uint8_t*>(data);
  ::madvise(data_, bytes, in_large_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  ::madvise(data_, bytes, MADV_DONTFORK);  // a child would keep what is given back
  for (uint64_t at = 0; at < bytes; at += kPageBytes) static_cast<volatile uint8_t*>(data_)[at] = 1;
  thread_ = std::thread([this] { GiveBackWhileUsed(); });
}

PretouchedMemory::~PretouchedMemory() {
  if (data_ == nullptr) return;
  ends_ = true;
  thread_.join();
  ::munmap(data_, bytes_);
}

void PretouchedMemory::GiveBackWhileUsed() {
  const uint64_t wanted = FreeMemoryBytes() + kReadyBytes;
  for (uint64_t given = 0; !ends_ && given < bytes_; std::this_thread::sleep_for(kCheckInterval)) {
    while (given < bytes_ && FreeMemoryBytes() < wanted) {
      const uint64_t size = std::min(kGivenAtOnceBytes, bytes_ - given);
      ::madvise(data_ + given, size, MADV_DONTNEED);
      given += size;
    }
  }
}

}  // namespace entrofs::bench
