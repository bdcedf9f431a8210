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
// Steps in one direction that make a reader of larger pieces one who goes on so, and how much it may leave out.
constexpr uint64_t kStepsOfARun = 2;
constexpr uint64_t kSlackBytes = 64 << 10;
// With so much the kernel by itself is faster.
constexpr uint64_t kEnoughReadAheadBytes = 512 << 10;
constexpr uint64_t kMaxAheadBytes = 8 << 20;
constexpr uint64_t kBackwardPieceBytes = 1 << 20;
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

PageFiller::PageFiller(Mount mount) : mount_(std::move(mount)), thread_([this] { Work(); }) {}

PageFiller::~PageFiller() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void PageFiller::OnSmallRead(uint64_t inode, uint64_t offset) {
  if (paused_) return;
  const Range segment = mount_.segment_at(inode, offset);
  {
    std::lock_guard lock(mutex_);
    if (IsRecent(inode, offset)) return;
    const Direction direction = DirectionTo(inode, segment);
    if (direction == Direction::kNone && !WasReadBefore({inode, segment.begin})) return;
    last_ = NextJob(inode, segment, direction);
    Queue(last_);
  }
  wake_.notify_one();
}

void PageFiller::OnLargeRead(uint64_t inode, Range range) {
  if (paused_) return;
  {
    std::lock_guard lock(mutex_);
    if (IsRecent(inode, range.begin)) return;  // asked for by this object
    Follow(inode, range);
    const Range ahead = RangeAhead();
    if (ahead.begin == ahead.end) return;
    const bool backward = run_.direction == Direction::kBackward;
    Queue({inode, ahead, backward});
    run_.range = ahead;  // where the reader will ask again
  }
  wake_.notify_one();
}

// Notes a read and how it goes on from the one before.
void PageFiller::Follow(uint64_t inode, Range range) {
  const Range before = run_.range;
  Direction direction = Direction::kNone;
  if (inode == run_.inode && range.begin < before.begin && range.end + kSlackBytes >= before.begin) {
    direction = Direction::kBackward;
  } else if (inode == run_.inode && range.end > before.end && range.begin <= before.end + kSlackBytes) {
    direction = Direction::kForward;
  }
  const bool goes_on = direction != Direction::kNone && (direction == run_.direction || run_.steps == 0);
  run_ = {inode, range, direction, goes_on ? run_.steps + 1 : 0};
}

// What comes next on the run's way, twice as much with each step; nothing where the kernel sees to it.
PageFiller::Range PageFiller::RangeAhead() const {
  const Range read = run_.range;
  const bool forward = run_.direction == Direction::kForward;
  if (run_.steps < kStepsOfARun || (forward && mount_.read_ahead_bytes >= kEnoughReadAheadBytes)) return {};
  const uint64_t size = (read.end - read.begin) << std::min<uint64_t>(run_.steps - kStepsOfARun, 16);
  const uint64_t most = std::min(size, kMaxAheadBytes);
  if (forward) return {read.end, std::min(read.end + most, mount_.size_of(run_.inode))};
  return {read.begin - std::min(read.begin, most), read.begin};
}

void PageFiller::Queue(const Job& job) {
  recent_[next_recent_++ % recent_.size()] = job;
  if (queue_.size() == kMaxQueued) queue_.pop_front();  // its reader has gone on
  queue_.push_back(job);
}

bool PageFiller::IsRecent(uint64_t inode, uint64_t offset) const {
  return std::any_of(recent_.begin(), recent_.end(), [&](const Job& job) {
    return job.inode == inode && offset >= job.range.begin && offset < job.range.end;
  });
}

// Remembers the place unless it does already.
bool PageFiller::WasReadBefore(Place place) {
  if (std::find(read_once_.begin(), read_once_.end(), place) != read_once_.end()) return true;
  read_once_[next_read_once_++ % read_once_.size()] = place;
  return false;
}

PageFiller::Direction PageFiller::DirectionTo(uint64_t inode, Range segment) const {
  if (inode != last_.inode) return Direction::kNone;
  if (segment.begin == last_.range.end) return Direction::kForward;
  return segment.end == last_.range.begin ? Direction::kBackward : Direction::kNone;
}

// The segment, and twice as much as before when it follows what was read before.
PageFiller::Job PageFiller::NextJob(uint64_t inode, Range segment, Direction direction) {
  const bool forward = direction == Direction::kForward;
  const bool backward = direction == Direction::kBackward;
  const uint64_t least = segment.end - segment.begin;
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
      if (file.fd >= 0 && !wake_.wait_for(lock, kKeepOpen, ready)) {
        lock.unlock();
        ::close(std::exchange(file.fd, -1));
        continue;
      }
      wake_.wait(lock, ready);
      if (stopping_) break;
      job = queue_.front();
      queue_.pop_front();
    }
    if (is_client && !paused_) Fill(job, file);
  }
  if (file.fd >= 0) ::close(file.fd);
}

// In pieces of the kernel's read-ahead, beginning where the reader is.
void PageFiller::Fill(const Job& job, Opened& file) {
  if (file.fd < 0 || file.inode != job.inode) {
    if (file.fd >= 0) ::close(file.fd);
    constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    file = {job.inode, ::open(mount_.path_of(job.inode).c_str(), kFlags)};
  }
  if (file.fd < 0) return;
  // The kernel reads each piece from its beginning, and those who go backwards want its end first.
  const uint64_t most = job.backward ? kBackwardPieceBytes : mount_.read_ahead_bytes;
  const uint64_t step = std::max<uint64_t>(std::min(mount_.read_ahead_bytes, most), 4096);
  for (uint64_t done = 0, all = job.range.end - job.range.begin; done < all;) {
    const uint64_t size = std::min(step, all - done);
    const uint64_t begin = job.backward ? job.range.end - done - size : job.range.begin + done;
    ::posix_fadvise(file.fd, static_cast<off_t>(begin), static_cast<off_t>(size), POSIX_FADV_WILLNEED);
    filled_bytes_ += size;
    done += size;
  }
}

}  // namespace entrofs::fs
