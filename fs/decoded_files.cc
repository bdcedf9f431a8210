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

DecodedFiles::DecodedFiles(size_t file_count, Actions actions, const Options& options)
    : actions_(std::move(actions)), options_(options), files_(file_count) {
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
  if (!file.shows_memory || file.state == State::kDecoded) {
    ++file.handles;
    const std::optional<BackingId> backing = file.shows_memory ? std::optional(file.backing) : std::nullopt;
    lock.unlock();
    return answer(backing);
  }
  file.waiting.push_back(std::move(answer));
  ++file.handles;
  const bool gives_up = wants_no_wait();
  lock.unlock();
  if (gives_up) return DontWait(index);
  wake_.notify_one();
}

// What the first of those who open a file gets, and so do all others until it is closed.
void DecodedFiles::ChooseLocked(size_t index) {
  File& file = files_[index];
  // A decode that was given up for those before goes on, or begins again, for this one.
  file.shows_memory = file.state != State::kPlain;
  if (file.shows_memory || file.is_corrupt || stopping_) return;
  const uint64_t size = actions_.size_of(index);
  const bool would_wait = is_decoding_ || !queue_.empty();
  if (size < (would_wait ? options_.least_bytes_that_wait : kLeastFileBytes)) return;
  if (!MakeRoomLocked(size)) return;
  QueueLocked(index);
  file.shows_memory = true;
}

// Gives back what is unused, the oldest first, but only when that is enough.
bool DecodedFiles::MakeRoomLocked(uint64_t size) {
  const uint64_t needed = size + promised_bytes_;
  if (HasRoomFor(needed)) return true;
  const std::vector<size_t> unused = UnusedLocked();
  uint64_t unused_bytes = 0;
  for (size_t other : unused) unused_bytes += actions_.size_of(other);
  if (!HasRoomFor(needed, unused_bytes)) return false;
  for (size_t other : unused) {
    DropLocked(other);
    if (HasRoomFor(needed)) return true;
  }
  return false;
}

bool DecodedFiles::HasRoomFor(uint64_t bytes, uint64_t dropped_bytes) const {
  if (actions_.memory_is_short()) return false;
  const std::optional<uint64_t> available = actions_.available_bytes();
  return available && bytes + bytes / kSpareDivisor + kSpareBytes <= *available + dropped_bytes;
}

void DecodedFiles::QueueLocked(size_t index) {
  queue_.push_back(index);
  promised_bytes_ += actions_.size_of(index);
  files_[index].state = State::kQueued;
  files_[index].stop = false;
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

// Decoded files that nobody has open or mapped, those unused longest first.
std::vector<size_t> DecodedFiles::UnusedLocked() const {
  std::vector<size_t> unused;
  for (size_t i = 0; i < files_.size(); ++i) {
    const File& file = files_[i];
    // An answer may still be on its way to the kernel; a mapping outlives the handle it was made from.
    const bool is_open = file.handles > 0 && file.shows_memory;
    if (file.state == State::kDecoded && !is_open && !IsUsedByOthers(file.memory.get())) unused.push_back(i);
  }
  std::sort(unused.begin(), unused.end(),
            [this](size_t a, size_t b) { return files_[a].unused_since < files_[b].unused_since; });
  return unused;
}

// The memory is given back when the descriptor is closed.
FileDescriptor DecodedFiles::DropLocked(size_t index) {
  File& file = files_[index];
  actions_.remove_backing(file.backing);
  file.state = State::kPlain;
  decoded_bytes_ -= actions_.size_of(index);
  return std::move(file.memory);
}

std::vector<FileDescriptor> DecodedFiles::DropOldLocked() {
  if (decoded_bytes_ == 0) return {};
  std::vector<FileDescriptor> dropped;
  const bool is_short = actions_.memory_is_short();
  const Clock::time_point limit = Clock::now() - options_.kept_unused;
  for (size_t i : UnusedLocked()) {
    if (is_short || files_[i].unused_since <= limit) dropped.push_back(DropLocked(i));
  }
  return dropped;
}

void DecodedFiles::Work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!queue_.empty()) {
      DecodeNext(lock);
    } else if (decoded_bytes_ == 0) {
      wake_.wait(lock);
    } else {
      wake_.wait_for(lock, std::min(options_.kept_unused / 4, kBetweenLooks));
      std::vector<FileDescriptor> dropped = DropOldLocked();
      lock.unlock();
      dropped.clear();
      lock.lock();
    }
  }
}

// Leaves the lock open while it decodes and answers.
void DecodedFiles::DecodeNext(std::unique_lock<std::mutex>& lock) {
  const auto smallest = std::min_element(
      queue_.begin(), queue_.end(), [this](size_t a, size_t b) { return actions_.size_of(a) < actions_.size_of(b); });
  const size_t index = *smallest;
  queue_.erase(smallest);
  File& file = files_[index];
  file.state = State::kDecoding;
  is_decoding_ = true;
  Progress progress{actions_.size_of(index), 0};
  lock.unlock();
  Result<Memory> memory = Decode(index, progress);
  lock.lock();
  is_decoding_ = false;
  promised_bytes_ -= progress.promised_bytes;
  const bool is_given_up = !memory && memory.error().code == ErrorCode::kCancelled;
  if (is_given_up && !file.waiting.empty() && !stopping_) return QueueLocked(index);  // opened again since
  const std::vector<Answer> answers = std::exchange(file.waiting, {});
  const std::optional<BackingId> backing = memory ? std::optional(memory->backing) : std::nullopt;
  if (memory) {
    KeepLocked(index, std::move(*memory));
  } else {
    file.state = State::kPlain;
    file.shows_memory = false;
    file.is_corrupt = memory.error().code == ErrorCode::kCorrupt;
  }
  lock.unlock();
  if (!memory && !is_given_up) spdlog::warn("{}; left to ordinary reads", memory.error().message);
  for (const Answer& answer : answers) answer(backing);
  lock.lock();
}

void DecodedFiles::KeepLocked(size_t index, Memory memory) {
  File& file = files_[index];
  file.state = State::kDecoded;
  file.memory = std::move(memory.file);
  file.backing = memory.backing;
  file.unused_since = Clock::now();
  decoded_bytes_ += actions_.size_of(index);
}

Result<DecodedFiles::Memory> DecodedFiles::Decode(size_t index, Progress& progress) try {
  const uint64_t size = actions_.size_of(index);
  ENTROFS_ASSIGN_OR_RETURN(FileDescriptor file, actions_.new_memory());
  if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0) return SystemError("cannot size a file in memory", errno);
  {
    const WritableMapping mapping(file.get(), size);
    if (!mapping.ok()) return SystemError("cannot map a file in memory", errno);
    ENTROFS_RETURN_IF_ERROR(actions_.decode(
        index, mapping.span(), [&](uint64_t decoded_bytes) { return GoOn(index, progress, decoded_bytes); }));
  }
  ENTROFS_ASSIGN_OR_RETURN(BackingId backing, actions_.add_backing(file.get()));
  return Memory{std::move(file), backing};
} catch (const std::bad_alloc&) {
  return Error{ErrorCode::kNoMemory, "out of memory"};
}

// Whether a decode shall go on: not when nobody waits for it any longer, and not when others have taken the memory that
// it was to have.
Status DecodedFiles::GoOn(size_t index, Progress& progress, uint64_t decoded_bytes) {
  std::vector<FileDescriptor> dropped;  // closed when the lock is open again
  std::lock_guard lock(mutex_);
  const uint64_t taken = std::min(decoded_bytes, progress.promised_bytes);
  progress.promised_bytes -= taken;
  promised_bytes_ -= taken;
  if (files_[index].stop) return Error{ErrorCode::kCancelled, "given up"};
  progress.bytes_since_look += decoded_bytes;
  if (progress.bytes_since_look < options_.bytes_between_looks || progress.promised_bytes == 0) return OkStatus();
  progress.bytes_since_look = 0;
  dropped = DropOldLocked();
  if (!HasRoomFor(promised_bytes_))
    return Error{ErrorCode::kNoMemory, "memory has become too short to decode it whole"};
  return OkStatus();
}

}  // namespace entrofs::fs
