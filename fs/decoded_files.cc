#include "fs/decoded_files.h"

#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

#include "base/file.h"
#include "fs/memory_folder.h"

namespace entrofs::fs {
namespace {

// Others want memory, too, while a file is decoded and read.
constexpr uint64_t kSpareDivisor = 8;
// While there is something that might be given back.
constexpr std::chrono::milliseconds kBetweenLooks(1000);

// The file's memory for as long as this lives.
class WritableMapping {
 public:
  WritableMapping(int fd, size_t size)
      : data_(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)), size_(size) {}
  ~WritableMapping() {
    if (ok()) ::munmap(data_, size_);
  }
  WritableMapping(const WritableMapping&) = delete;
  WritableMapping& operator=(const WritableMapping&) = delete;
  bool ok() const { return data_ != MAP_FAILED; }
  MutableByteSpan span() const { return {static_cast<uint8_t*>(data_), size_}; }

 private:
  void* data_;
  size_t size_;
};

}  // namespace

DecodedFiles::DecodedFiles(size_t file_count, Actions actions, std::chrono::milliseconds kept_unused)
    : actions_(std::move(actions)), kept_unused_(kept_unused), files_(file_count) {
  thread_ = std::thread([this] { Work(); });
}

DecodedFiles::~DecodedFiles() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    for (File& file : files_) file.stop = true;
  }
  wake_.notify_one();
  thread_.join();
  for (size_t i = 0; i < files_.size(); ++i) DontWait(i);
  for (const File& file : files_) {
    if (file.state == State::kDecoded) actions_.remove_backing(file.backing);
  }
}

void DecodedFiles::Open(size_t index, Answer answer, const std::function<bool()>& wants_no_wait) {
  std::unique_lock lock(mutex_);
  File& file = files_[index];
  if (file.handles == 0) ChooseLocked(index);
  const bool waits = file.shows_memory && file.state != State::kDecoded;
  if (waits) file.waiting.push_back(std::move(answer));
  ++file.handles;
  if (!waits) {
    const std::optional<BackingId> backing = file.shows_memory ? std::optional(file.backing) : std::nullopt;
    lock.unlock();
    return answer(backing);
  }
  const bool gives_up = wants_no_wait();
  lock.unlock();
  if (gives_up) return DontWait(index);
  wake_.notify_one();
}

// What the first of those who open a file gets, and so do all others until it is closed.
void DecodedFiles::ChooseLocked(size_t index) {
  File& file = files_[index];
  file.shows_memory = file.state == State::kDecoded;
  if (file.state != State::kPlain || stopping_) return;
  const uint64_t size = actions_.size_of(index);
  if (size < kLeastFileBytes) return;
  if (!FitsLocked(size)) DropLocked(Clock::now());
  if (!FitsLocked(size)) return;
  queue_.push_back(index);
  promised_bytes_ += size;
  file.state = State::kQueued;
  file.stop = false;
  file.shows_memory = true;
}

bool DecodedFiles::FitsLocked(uint64_t size) const {
  if (actions_.memory_is_short()) return false;
  const std::optional<uint64_t> available = actions_.available_bytes();
  const uint64_t needed = size + promised_bytes_;
  return available && needed + needed / kSpareDivisor <= *available;
}

void DecodedFiles::Close(size_t index) {
  std::lock_guard lock(mutex_);
  File& file = files_[index];
  if (--file.handles == 0) file.unused_since = Clock::now();
}

void DecodedFiles::DontWait(size_t index) {
  std::vector<Answer> answers;
  {
    std::lock_guard lock(mutex_);
    File& file = files_[index];
    if (file.waiting.empty()) return;
    answers = std::exchange(file.waiting, {});
    file.stop = true;
    file.shows_memory = false;
    if (file.state == State::kQueued) {
      std::erase(queue_, index);
      promised_bytes_ -= actions_.size_of(index);
      file.state = State::kPlain;
    }
  }
  for (const Answer& answer : answers) answer(std::nullopt);
}

uint64_t DecodedFiles::bytes() const {
  std::lock_guard lock(mutex_);
  return decoded_bytes_;
}

void DecodedFiles::DropLocked(Clock::time_point unused_since) {
  for (size_t i = 0; i < files_.size(); ++i) {
    File& file = files_[i];
    // An answer may still be on its way to the kernel; a mapping outlives the handle it was made from.
    const bool is_open = file.handles > 0 && file.shows_memory;
    if (file.state != State::kDecoded || is_open || file.unused_since > unused_since) continue;
    if (IsUsedByOthers(file.memory.get())) continue;
    actions_.remove_backing(file.backing);
    file.memory = FileDescriptor();
    file.state = State::kPlain;
    decoded_bytes_ -= actions_.size_of(i);
  }
}

void DecodedFiles::Work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!queue_.empty()) {
      DecodeNext(lock);
    } else if (decoded_bytes_ == 0) {
      wake_.wait(lock);
    } else {
      wake_.wait_for(lock, std::min(kept_unused_ / 4, kBetweenLooks));
      DropLocked(Clock::now() - (actions_.memory_is_short() ? std::chrono::milliseconds(0) : kept_unused_));
    }
  }
}

// Leaves the lock open while it decodes and answers.
void DecodedFiles::DecodeNext(std::unique_lock<std::mutex>& lock) {
  const size_t index = queue_.front();
  queue_.pop_front();
  File& file = files_[index];
  file.state = State::kDecoding;
  lock.unlock();
  Result<Memory> memory = Decode(index, file.stop);
  lock.lock();
  const uint64_t size = actions_.size_of(index);
  promised_bytes_ -= size;
  std::optional<BackingId> backing;
  if (memory) {
    file.memory = std::move(memory->file);
    file.backing = memory->backing;
    file.state = State::kDecoded;
    file.unused_since = Clock::now();
    decoded_bytes_ += size;
    backing = file.backing;
  } else {
    file.state = State::kPlain;
    file.shows_memory = false;
  }
  const std::vector<Answer> answers = std::exchange(file.waiting, {});
  lock.unlock();
  if (!memory && memory.error().code != ErrorCode::kCancelled) {
    spdlog::warn("{}; left to ordinary reads", memory.error().message);
  }
  for (const Answer& answer : answers) answer(backing);
  lock.lock();
}

Result<DecodedFiles::Memory> DecodedFiles::Decode(size_t index, const std::atomic<bool>& stop) const try {
  const uint64_t size = actions_.size_of(index);
  ENTROFS_ASSIGN_OR_RETURN(FileDescriptor file, actions_.new_memory());
  if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0) return SystemError("cannot size a file in memory", errno);
  {
    const WritableMapping mapping(file.get(), size);
    if (!mapping.ok()) return SystemError("cannot map a file in memory", errno);
    ENTROFS_RETURN_IF_ERROR(actions_.decode(index, mapping.span(), stop));
  }
  ENTROFS_ASSIGN_OR_RETURN(BackingId backing, actions_.add_backing(file.get()));
  return Memory{std::move(file), backing};
} catch (const std::bad_alloc&) {
  return Error{ErrorCode::kNoMemory, "out of memory"};
}

}  // namespace entrofs::fs
