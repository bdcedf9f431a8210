#include "fs/page_filler.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace entrofs::fs {
namespace {

constexpr size_t kMaxQueued = 4;
// How much a run of larger reads may leave out.
constexpr uint64_t kSlackBytes = 64 << 10;
// With so much the kernel by itself is faster.
constexpr uint64_t kEnoughReadAheadBytes = 512 << 10;
constexpr uint64_t kMaxAheadBytes = 8 << 20;
constexpr uint64_t kBackwardStepBytes = 1 << 20;
// An open file keeps the mount busy, so it is closed once its readers pause.
constexpr std::chrono::milliseconds kKeepOpen(20);

// Gives the calling thread a descriptor table of its own with nothing but /dev/null as the first three: whoever waits
// for the end of the daemon's standard output must not wait for this thread. False when it cannot.
bool LeaveDescriptors() {
  bool left = false;
#ifdef SYS_close_range
  constexpr unsigned kUnshareFirst = 1 << 1;  // CLOSE_RANGE_UNSHARE; since Linux 5.9
  left = ::syscall(SYS_close_range, 0, ~0u, kUnshareFirst) == 0;
#endif
  if (!left) {
    if (::unshare(CLONE_FILES) != 0) return false;
    const long limit = ::sysconf(_SC_OPEN_MAX);
    for (int fd = 0; fd < limit; ++fd) ::close(fd);
  }
  // By the system call itself, for ThreadSanitizer takes all threads to have the same descriptors.
  for (int fd = 0; fd < 3; ++fd) (void)::syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
  return true;
}

}  // namespace

PageFiller::PageFiller(Mount mount)
    : mount_(std::move(mount)),
      small_reads_({.max_runs = 1, .slack = 0}),
      large_reads_({.max_runs = 1, .slack = kSlackBytes}),
      thread_([this] { Work(); }) {}

PageFiller::~PageFiller() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void PageFiller::OnSmallRead(uint64_t inode, uint64_t offset) {
  if (mount_.is_paused()) return;
  const Range segment = mount_.segment_at(inode, offset);
  {
    std::lock_guard lock(mutex_);
    if (IsRecent(inode, offset)) return;
    const Direction direction = small_reads_.DirectionTo(inode, segment);
    if (direction == Direction::kNone && !WasReadBefore({inode, segment.begin})) return;
    small_reads_.Note(inode, segment);
    const Job job = NextJob(inode, segment, direction);
    small_reads_.ServedAhead(job.bytes);
    Queue(job);
  }
  wake_.notify_one();
}

void PageFiller::OnLargeRead(uint64_t inode, Range bytes) {
  if (mount_.is_paused()) return;
  {
    std::lock_guard lock(mutex_);
    if (IsRecent(inode, bytes.begin)) return;  // asked for by this object
    const ReadPattern::Step step = large_reads_.Note(inode, bytes);
    const Range ahead = AheadOf(step);
    if (ahead.empty()) return;
    Queue({inode, ahead, step.direction == Direction::kBackward});
    large_reads_.ServedAhead(ahead);
  }
  wake_.notify_one();
}

// What comes next on the run's way, twice as much with each step; nothing where the kernel sees to it.
Range PageFiller::AheadOf(const ReadPattern::Step& step) const {
  const bool forward = step.direction == Direction::kForward;
  if (!step.is_run() || step.is_repeat || (forward && mount_.read_ahead_bytes >= kEnoughReadAheadBytes)) return {};
  const uint64_t size = step.read.size() << std::min<uint64_t>(step.length - ReadPattern::kStepsOfARun, 16);
  return NextRange(step, std::min(size, kMaxAheadBytes), mount_.size_of(step.file));
}

void PageFiller::Queue(const Job& job) {
  recent_[next_recent_++ % recent_.size()] = job;
  if (queue_.size() == kMaxQueued) queue_.pop_front();  // its reader has gone on
  queue_.push_back(job);
}

bool PageFiller::IsRecent(uint64_t inode, uint64_t offset) const {
  return std::any_of(recent_.begin(), recent_.end(),
                     [&](const Job& job) { return job.inode == inode && job.bytes.Contains(offset); });
}

// Remembers the place unless it does already.
bool PageFiller::WasReadBefore(Place place) {
  if (std::find(read_once_.begin(), read_once_.end(), place) != read_once_.end()) return true;
  read_once_[next_read_once_++ % read_once_.size()] = place;
  return false;
}

// The segment, and twice as much as before when it follows what was read before.
PageFiller::Job PageFiller::NextJob(uint64_t inode, Range segment, Direction direction) {
  const bool forward = direction == Direction::kForward;
  const bool backward = direction == Direction::kBackward;
  const uint64_t least = segment.size();
  window_bytes_ = forward || backward ? std::min(std::max(window_bytes_ * 2, least), kMaxWindowBytes) : least;
  const uint64_t more = window_bytes_ - std::min(window_bytes_, least);
  if (forward) segment.end = std::min(segment.end + more, mount_.size_of(inode));
  if (backward) segment.begin -= std::min(segment.begin, more);
  // Ends with a whole segment, where the next begins.
  if (forward && segment.end < mount_.size_of(inode)) segment.end = mount_.segment_at(inode, segment.end).begin;
  if (backward) segment.begin = mount_.segment_at(inode, segment.begin).begin;
  return {inode, segment, backward};
}

void PageFiller::Work() {
  const bool is_client = LeaveDescriptors();
  Opened file;
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      const auto ready = [this] { return stopping_ || !queue_.empty(); };
      if (file.file.ok() && !wake_.wait_for(lock, kKeepOpen, ready)) {
        lock.unlock();
        file = {};
        continue;
      }
      wake_.wait(lock, ready);
      if (stopping_) break;
      job = queue_.front();
      queue_.pop_front();
    }
    if (is_client && !mount_.is_paused()) Fill(job, file);
  }
}

PageFiller::OwnDescriptor::~OwnDescriptor() {
  if (fd_ >= 0) (void)::syscall(SYS_close, fd_);
}

// In steps of the kernel's read-ahead, beginning where the reader is.
void PageFiller::Fill(const Job& job, Opened& file) {
  if (!file.file.ok() || file.inode != job.inode) {
    constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    file = {};  // closes one before it opens the other
    file = {
        job.inode,
        OwnDescriptor(static_cast<int>(::syscall(SYS_openat, AT_FDCWD, mount_.path_of(job.inode).c_str(), kFlags)))};
  }
  if (!file.file.ok()) return;
  // The kernel reads each step from its beginning, and those who go backwards want its end first.
  const uint64_t most = job.backward ? kBackwardStepBytes : mount_.read_ahead_bytes;
  const uint64_t step = std::max<uint64_t>(std::min(mount_.read_ahead_bytes, most), 4096);
  for (uint64_t done = 0, all = job.bytes.size(); done < all;) {
    const uint64_t size = std::min(step, all - done);
    const uint64_t begin = job.backward ? job.bytes.end - done - size : job.bytes.begin + done;
    ::posix_fadvise(file.file.get(), static_cast<off_t>(begin), static_cast<off_t>(size), POSIX_FADV_WILLNEED);
    filled_bytes_ += size;
    done += size;
  }
}

}  // namespace entrofs::fs
