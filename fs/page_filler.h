#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "fs/range.h"
#include "fs/read_pattern.h"

namespace entrofs::fs {

// For tiny reads (pages of a mapping after MADV_RANDOM, preads of 4 KiB) that stay in one place for a while: at the
// second read of a segment, which had to be decoded anyway, has the kernel read all of it and, while they go on to its
// neighbours, more and more of what follows. Readers that jump far every time are left alone.
//
// For larger reads that go through a file in one direction: where the kernel reads ahead little, as for ordinary users,
// or not at all, as backwards (memcpy(3) goes backwards for some destinations), it is made to.
//
// Its thread reads through the mount as any other program would, and to the kernel it is one: it has a descriptor table
// of its own, without /dev/fuse. So whatever it waits for ends when the other threads of the daemon end, even by
// SIGKILL: the kernel then closes /dev/fuse and fails all requests. (fuse_lowlevel_notify_store waits for pages that
// readers have asked for without being killable; killed there, the daemon would hold /dev/fuse open for ever.)
class PageFiller {
 public:
  struct Mount {
    // Absolute path of a file in the mount.
    std::function<std::string(uint64_t inode)> path_of;
    // The segment that holds the byte `offset`, which lies in the file.
    std::function<Range(uint64_t inode, uint64_t offset)> segment_at;
    std::function<uint64_t(uint64_t inode)> size_of;
    // While true nothing is read: memory is short.
    std::function<bool()> is_paused;
    uint64_t read_ahead_bytes = 128 << 10;  // of the mount: what the kernel reads for one call
  };

  // Starts a thread, which keeps no descriptor but the first three.
  explicit PageFiller(Mount mount);
  // Waits for its thread, which may wait for the mount: the mount must answer or be gone.
  ~PageFiller();
  PageFiller(const PageFiller&) = delete;
  PageFiller& operator=(const PageFiller&) = delete;

  // A reader was given these few bytes (at most kSmallBytes). Thread-safe; never waits for reading.
  void OnSmallRead(uint64_t inode, uint64_t offset);
  // A reader was given more than that. Thread-safe; never waits for reading.
  void OnLargeRead(uint64_t inode, Range bytes);
  // Bytes the kernel was asked to read so far.
  uint64_t filled_bytes() const { return filled_bytes_; }

  static constexpr uint64_t kSmallBytes = 16 << 10;
  static constexpr uint64_t kMaxWindowBytes = 4 << 20;

 private:
  struct Job {
    uint64_t inode = 0;
    Range bytes;
    bool backward = false;
  };
  // A descriptor in the filler thread's own table. Opened and closed by bare system calls: its number means another
  // file in the rest of the process, which tools that follow descriptors by number (ThreadSanitizer) would mix up.
  class OwnDescriptor {
   public:
    OwnDescriptor() = default;
    explicit OwnDescriptor(int fd) : fd_(fd) {}
    ~OwnDescriptor();
    OwnDescriptor(OwnDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    OwnDescriptor& operator=(OwnDescriptor&& other) noexcept {
      std::swap(fd_, other.fd_);
      return *this;
    }
    bool ok() const { return fd_ >= 0; }
    int get() const { return fd_; }

   private:
    int fd_ = -1;
  };
  struct Opened {
    uint64_t inode = 0;
    OwnDescriptor file;
  };
  struct Place {
    uint64_t inode = 0;
    uint64_t begin = 0;  // of a segment
    bool operator==(const Place&) const = default;
  };

  bool IsRecent(uint64_t inode, uint64_t offset) const;
  Range AheadOf(const ReadPattern::Step& step) const;
  void Queue(const Job& job);
  bool WasReadBefore(Place place);
  Job NextJob(uint64_t inode, Range segment, Direction direction);
  void Work();
  void Fill(const Job& job, Opened& file);

  const Mount mount_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> queue_;
  std::array<Job, 32> recent_;  // jobs given out last
  size_t next_recent_ = 0;
  std::array<Place, 64> read_once_;  // lately
  size_t next_read_once_ = 0;
  ReadPattern small_reads_;  // of segments' bytes, and what was filled for them
  ReadPattern large_reads_;  // of bytes
  uint64_t window_bytes_ = 0;
  bool stopping_ = false;
  std::atomic<uint64_t> filled_bytes_{0};
  std::thread thread_;
};

}  // namespace entrofs::fs
