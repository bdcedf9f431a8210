#include "base/file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/file_descriptor.h"
#include "base/file_mapping.h"

namespace entrofs {
namespace {

// Repeats a system call that a signal interrupted.
template <typename SystemCall>
auto RetryInterrupted(SystemCall call) {
  for (;;) {
    auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

// O_NONBLOCK: a pipe in the place of a file is refused, not waited for. It changes nothing for files.
constexpr int kReadFlags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

class PosixRandomAccessFile : public RandomAccessFile {
 public:
  explicit PosixRandomAccessFile(std::string path) : path_(std::move(path)) {}

  Status Open() {
    fd_.set(RetryInterrupted([&] { return ::open(path_.c_str(), kReadFlags); }));
    if (fd_.get() < 0) return SystemError("cannot open " + path_, errno);
    struct stat info;
    if (::fstat(fd_.get(), &info) != 0) return SystemError("cannot stat " + path_, errno);
    access_ = {info.st_uid, info.st_gid, info.st_mode & 07777};
    if (S_ISBLK(info.st_mode)) {
      off_t end = ::lseek(fd_.get(), 0, SEEK_END);
      if (end < 0) return SystemError("cannot seek in " + path_, errno);
      size_ = static_cast<uint64_t>(end);
      return OkStatus();
    }
    if (!S_ISREG(info.st_mode)) return Error{ErrorCode::kInvalidArgument, path_ + ": not a regular file"};
    size_ = static_cast<uint64_t>(info.st_size);
    return OkStatus();
  }

  Status ReadAt(uint64_t offset, MutableByteSpan out) const override {
    size_t done = 0;
    while (done < out.size()) {
      ssize_t n = RetryInterrupted(
          [&] { return ::pread(fd_.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done)); });
      if (n < 0) return SystemError("cannot read " + path_, errno);
      if (n == 0) {
        return Error{ErrorCode::kCorrupt,
                     path_ + ": file is shorter than " + std::to_string(offset + out.size()) + " bytes"};
      }
      done += static_cast<size_t>(n);
    }
    return OkStatus();
  }

  uint64_t size() const override { return size_; }
  FileAccess access() const override { return access_; }

  // After Open. Bytes that change while they are used could lead the user astray, so nobody else may be able to.
  void MapUnlessOthersMayWrite() {
    struct stat info;
    if (::fstat(fd_.get(), &info) != 0 || !S_ISREG(info.st_mode)) return;
    const bool is_ours = info.st_uid == ::geteuid() || info.st_uid == 0;
    if (is_ours && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0) mapping_ = FileMapping::Map(fd_.get(), size_);
  }

  ByteSpan View(uint64_t offset, uint64_t length) const override {
    if (!mapping_ || !mapping_->holds() || length == 0 || length > size_ || offset > size_ - length) return {};
    // Page faults read far around themselves, and one after another; pread does better where there is something to
    // read.
    return IsCached(offset) && IsCached(offset + length - 1) ? mapping_->View(offset, length) : ByteSpan();
  }
  bool ViewsHold() const override { return mapping_ && mapping_->holds(); }

  void DropCached(uint64_t offset, uint64_t length) const override {
    if (mapping_) mapping_->Forget(offset, length);  // the page cache keeps what is mapped
    (void)::posix_fadvise(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(length), POSIX_FADV_DONTNEED);
  }

 private:
  bool IsCached(uint64_t offset) const {
    uint8_t byte;
    iovec place = {&byte, 1};
    return ::preadv2(fd_.get(), &place, 1, static_cast<off_t>(offset), RWF_NOWAIT) == 1;
  }

  const std::string path_;
  FileDescriptor fd_;
  uint64_t size_ = 0;
  FileAccess access_;
  std::unique_ptr<FileMapping> mapping_;
};

// Temporary names that a signal handler must be able to remove: fixed slots, claimed and released with atomics, no
// allocation.
constexpr size_t kMaxOpenNewFiles = 16;
constexpr size_t kMaxPathBytes = 4096;
struct TemporarySlot {
  std::atomic<bool> claimed{false};
  std::atomic<bool> active{false};
  char path[kMaxPathBytes];
};
std::array<TemporarySlot, kMaxOpenNewFiles> temporary_slots;

TemporarySlot* RegisterTemporary(const std::string& path) {
  if (path.size() >= kMaxPathBytes) return nullptr;
  for (TemporarySlot& slot : temporary_slots) {
    if (slot.claimed.exchange(true)) continue;
    std::memcpy(slot.path, path.c_str(), path.size() + 1);
    slot.active = true;
    return &slot;
  }
  return nullptr;
}

void ReleaseTemporary(TemporarySlot* slot) {
  if (slot == nullptr) return;
  slot->active = false;
  slot->claimed = false;
}

class PosixNewFile : public NewFile {
 public:
  explicit PosixNewFile(std::string path) : path_(std::move(path)) { pending_.reserve(kPendingBytes); }

  ~PosixNewFile() override {
    if (fd_.get() >= 0 && !committed_) ::unlink(temporary_path_.c_str());
    ReleaseTemporary(slot_);
  }

  // Creates the temporary file, under a name that a signal handler knows already.
  Status Open() {
    constexpr int kTries = 100;
    for (int i = 0; i < kTries; ++i) {
      temporary_path_ = TemporaryName(path_);
      slot_ = RegisterTemporary(temporary_path_);
      fd_.set(RetryInterrupted([&] { return ::open(temporary_path_.c_str(), kCreateFlags, 0644); }));
      if (fd_.get() >= 0) return OkStatus();
      const int failed = errno;
      ReleaseTemporary(std::exchange(slot_, nullptr));
      if (failed != EEXIST) return SystemError("cannot create " + path_, failed);
    }
    return SystemError("cannot create " + path_, EEXIST);
  }

  Status Append(ByteSpan bytes) override {
    size_ += bytes.size();
    if (pending_.size() + bytes.size() <= kPendingBytes) {
      pending_.insert(pending_.end(), bytes.begin(), bytes.end());
      return OkStatus();
    }
    ENTROFS_RETURN_IF_ERROR(Flush());
    if (bytes.size() >= kPendingBytes) return WriteAll(bytes);
    pending_.assign(bytes.begin(), bytes.end());
    return OkStatus();
  }

  uint64_t size() const override { return size_; }
  const std::string& temporary_path() const override { return temporary_path_; }

  Status Flush() override {
    ENTROFS_RETURN_IF_ERROR(WriteAll(pending_));
    pending_.clear();
    return OkStatus();
  }

  Status Commit() override {
    ENTROFS_RETURN_IF_ERROR(Flush());
    if (RetryInterrupted([&] { return ::fsync(fd_.get()); }) != 0) {
      return SystemError("cannot sync " + temporary_path_, errno);
    }
    if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) return SystemError("cannot create " + path_, errno);
    committed_ = true;
    return SyncFolder();
  }

 private:
  static constexpr size_t kPendingBytes = 1 << 20;
  // The kernel applies the umask: reading it with umask(2) would change it for other threads for a moment.
  static constexpr int kCreateFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

  Status WriteAll(ByteSpan bytes) {
    while (!bytes.empty()) {
      ssize_t n = RetryInterrupted([&] { return ::write(fd_.get(), bytes.data(), bytes.size()); });
      if (n < 0) return SystemError("cannot write " + temporary_path_, errno);
      if (n == 0) return Error{ErrorCode::kIo, "cannot write " + temporary_path_ + ": nothing was written"};
      bytes = bytes.subspan(static_cast<size_t>(n));
    }
    return OkStatus();
  }

  Status SyncFolder() const {
    std::string folder = std::filesystem::path(path_).parent_path().string();
    FileDescriptor fd(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // Some file systems (FAT, some FUSE) cannot sync folders; the file itself is safe by then.
    if (fd.get() >= 0 && ::fsync(fd.get()) != 0 && errno == EIO) return SystemError("cannot sync " + folder, errno);
    return OkStatus();
  }

  const std::string path_;
  std::string temporary_path_;
  FileDescriptor fd_;
  TemporarySlot* slot_ = nullptr;
  std::vector<uint8_t> pending_;
  uint64_t size_ = 0;
  bool committed_ = false;
};

}  // namespace

Result<std::unique_ptr<RandomAccessFile>> OpenForReading(const std::string& path) {
  auto file = std::make_unique<PosixRandomAccessFile>(path);
  ENTROFS_RETURN_IF_ERROR(file->Open());
  return std::unique_ptr<RandomAccessFile>(std::move(file));
}

Result<std::unique_ptr<RandomAccessFile>> OpenMapped(const std::string& path) {
  auto file = std::make_unique<PosixRandomAccessFile>(path);
  ENTROFS_RETURN_IF_ERROR(file->Open());
  file->MapUnlessOthersMayWrite();
  return std::unique_ptr<RandomAccessFile>(std::move(file));
}

std::string TemporaryName(const std::string& path) {
  static constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyz234567";
  uint8_t random[12] = {};
  if (::getrandom(random, sizeof random, 0) != sizeof random) return path + ".tmp";
  std::string name = path + ".";
  for (uint8_t byte : random) name += kLetters[byte % 32];
  return name + ".tmp";
}

Result<std::unique_ptr<NewFile>> CreateFile(const std::string& path) {
  auto file = std::make_unique<PosixNewFile>(path);
  ENTROFS_RETURN_IF_ERROR(file->Open());
  return std::unique_ptr<NewFile>(std::move(file));
}

void RemoveUncommittedFiles() noexcept {
  for (TemporarySlot& slot : temporary_slots) {
    if (slot.active.load()) ::unlink(slot.path);
  }
}

Result<std::string> ReadWholeFile(const std::string& path, uint64_t limit_bytes) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, OpenForReading(path));
  if (file->size() > limit_bytes) {
    return Error{ErrorCode::kCorrupt, path + ": longer than " + std::to_string(limit_bytes) + " bytes"};
  }
  std::string text(file->size(), '\0');
  ENTROFS_RETURN_IF_ERROR(file->ReadAt(0, {reinterpret_cast<uint8_t*>(text.data()), text.size()}));
  return text;
}

Error SystemError(const std::string& what, int errno_value) {
  ErrorCode code = ErrorCode::kIo;
  if (errno_value == ENOENT || errno_value == ENOTDIR) code = ErrorCode::kNotFound;
  if (errno_value == ENOMEM) code = ErrorCode::kNoMemory;
  return Error{code, what + ": " + std::strerror(errno_value)};
}

}  // namespace entrofs
