#include "base/file_mapping.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <mutex>

namespace entrofs {
namespace {

// What a signal handler can search: fixed places, read with atomics.
struct Place {
  std::atomic<bool> is_taken{false};
  std::atomic<uintptr_t> begin{0};  // 0: not to be searched
  std::atomic<uintptr_t> end{0};
  std::atomic<bool> lost{false};
};
std::array<Place, 64> places;
struct sigaction action_before;

Place* FindPlace(uintptr_t address) {
  for (Place& place : places) {
    uintptr_t begin = place.begin.load();
    if (begin != 0 && begin <= address && address < place.end.load()) return &place;
  }
  return nullptr;
}

// Not our memory: what would have happened without us.
void ActAsBefore(int signal, siginfo_t* info, void* context) {
  if ((action_before.sa_flags & SA_SIGINFO) != 0) return action_before.sa_sigaction(signal, info, context);
  if (action_before.sa_handler == SIG_IGN && info->si_code <= 0) return;  // somebody sent it
  if (action_before.sa_handler != SIG_DFL && action_before.sa_handler != SIG_IGN) {
    return action_before.sa_handler(signal);
  }
  ::signal(signal, SIG_DFL);
  ::raise(signal);  // once the handler returns
}

// The interrupted access is repeated afterwards and finds a zero. `lost` is set first, so whoever sees a zero and then
// asks is told.
void OnBusError(int signal, siginfo_t* info, void* context) {
  int errno_before = errno;
  Place* place = info->si_code > 0 ? FindPlace(reinterpret_cast<uintptr_t>(info->si_addr)) : nullptr;
  if (place == nullptr) return ActAsBefore(signal, info, context);
  place->lost.store(true);
  uintptr_t begin = place->begin.load();
  void* zeroes = ::mmap(reinterpret_cast<void*>(begin), place->end.load() - begin, PROT_READ,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  if (zeroes == MAP_FAILED) return ActAsBefore(signal, info, context);
  errno = errno_before;
}

void CatchBusErrors() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action = {};
    action.sa_sigaction = OnBusError;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, &action_before);
  });
}

Place* TakePlace() {
  for (Place& place : places) {
    if (!place.is_taken.exchange(true)) return &place;
  }
  return nullptr;
}

}  // namespace

std::unique_ptr<FileMapping> FileMapping::Map(int fd, uint64_t size) {
  const auto page_bytes = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const uint64_t readable_bytes = (size + page_bytes - 1) / page_bytes * page_bytes;
  Place* place = size > 0 ? TakePlace() : nullptr;
  if (place == nullptr) return nullptr;
  CatchBusErrors();
  void* data = ::mmap(nullptr, readable_bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) {
    place->is_taken = false;
    return nullptr;
  }
  place->lost = false;
  place->end = reinterpret_cast<uintptr_t>(data) + readable_bytes;
  place->begin = reinterpret_cast<uintptr_t>(data);
  std::unique_ptr<FileMapping> mapping(new FileMapping(static_cast<uint8_t*>(data), readable_bytes));
  mapping->lost_ = &place->lost;
  return mapping;
}

FileMapping::~FileMapping() {
  Place* place = FindPlace(reinterpret_cast<uintptr_t>(data_));
  place->begin = 0;
  ::munmap(data_, readable_bytes_);
  place->is_taken = false;
}

ByteSpan FileMapping::View(uint64_t offset, uint64_t length) const {
  if (offset > readable_bytes_ || length > readable_bytes_ - offset) return {};
  return {data_ + offset, static_cast<size_t>(length)};
}

bool FileMapping::holds() const {
  __sync_synchronize();  // after all reads of the view; ThreadSanitizer does not know atomic_thread_fence
  return !lost_->load();
}

void FileMapping::Forget(uint64_t offset, uint64_t length) const {
  if (offset < readable_bytes_ && holds()) {
    ::madvise(data_ + offset, static_cast<size_t>(std::min(length, readable_bytes_ - offset)), MADV_DONTNEED);
  }
}

}  // namespace entrofs
