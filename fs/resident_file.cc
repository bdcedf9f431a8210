#include "fs/resident_file.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>

#include "base/units.h"
#include "fs/memory_limit.h"

namespace entrofs::fs {
namespace {

// Decoders may look at this many bytes behind the last ones.
constexpr uint64_t kReadableBehind = 4096;
constexpr uint64_t kChunkBytes = 2 << 20;

Error NoRoom(uint64_t wanted, const std::string& why) {
  return Error{ErrorCode::kNoMemory, "cannot keep the archive's " + FormatBytes(wanted) + " in memory: " + why};
}

}  // namespace

ResidentFile::~ResidentFile() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
  if (memory_ != nullptr) ::munmap(memory_, file_->size() + kReadableBehind);
}

Status ResidentFile::Reserve(bool lock) {
  std::optional<uint64_t> available = AvailableMemoryBytes();
  if (available && *available < size()) return NoRoom(size(), "only " + FormatBytes(*available) + " are free");
  const size_t bytes = size() + kReadableBehind;
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NoRoom(size(), std::strerror(errno));
  (void)::madvise(memory, bytes, MADV_HUGEPAGE);  // fewer misses of the address cache, where the kernel has them
  if (lock && ::mlock2(memory, bytes, MLOCK_ONFAULT) != 0) {
    Error error = NoRoom(size(), std::string(std::strerror(errno)) + " (ulimit -l, or LimitMEMLOCK= of the service)");
    ::munmap(memory, bytes);
    return error;
  }
  memory_ = static_cast<uint8_t*>(memory);
  return OkStatus();
}

void ResidentFile::Load() {
  thread_ = std::thread([this] { Work(); });
}

Status ResidentFile::ReadAt(uint64_t offset, MutableByteSpan out) const {
  ByteSpan view = View(offset, out.size());
  if (view.empty()) return file_->ReadAt(offset, out);
  std::memcpy(out.data(), view.data(), view.size());
  return OkStatus();
}

ByteSpan ResidentFile::View(uint64_t offset, uint64_t length) const {
  const uint64_t resident = resident_bytes_.load(std::memory_order_acquire);
  const uint64_t readable = resident == size() ? size() + kReadableBehind : resident;
  if (offset > readable || length > readable - offset) return {};
  return {memory_ + offset, static_cast<size_t>(length)};
}

// Ends where the file cannot be read: reads of the rest will tell.
void ResidentFile::Work() {
  for (uint64_t done = 0; done < size() && !stopping_;) {
    const uint64_t count = std::min(kChunkBytes, size() - done);
    if (!file_->ReadAt(done, {memory_ + done, static_cast<size_t>(count)})) return;
    file_->DropCached(done, count);  // memory holds it once
    done += count;
    resident_bytes_.store(done, std::memory_order_release);
  }
}

}  // namespace entrofs::fs
