#include <time.h>

#include <atomic>
#include <thread>

#include "archive/archive_reader.h"
#include "base/thread_pool.h"
#include "bench/mount_race.h"
#include "bench/random.h"

namespace entrofs::bench {
namespace {

struct Job {
  const archive::Extent* extent;
  uint64_t segment;
};

std::vector<Job> ListJobs(const archive::ArchiveReader& reader) {
  std::vector<Job> jobs;
  for (const archive::VirtualFile& file : reader.index().files) {
    for (const archive::Extent& extent : file.extents) {
      for (uint64_t segment = 0; segment < extent.segment_count(); ++segment) jobs.push_back({&extent, segment});
    }
  }
  return jobs;
}

// The jobs of every thread, or one list for all of them.
std::vector<std::vector<Job>> Deal(const DecodeWay& way, std::vector<Job> jobs, size_t threads) {
  if (!way.is_dealt) return {std::move(jobs)};
  Random random(1);
  for (size_t i = jobs.size(); i > 1; --i) std::swap(jobs[i - 1], jobs[random.Next() % i]);
  std::vector<std::vector<Job>> shares(threads);
  for (size_t i = 0; i < jobs.size(); ++i) shares[i % threads].push_back(jobs[i]);
  return shares;
}

double ProcessCpuSeconds() {
  timespec now;
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

Result<Sample> DecodeArchive(const std::string& archive_path, const DecodeWay& way) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file,
                           way.is_mapped ? OpenMapped(archive_path) : OpenForReading(archive_path));
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<archive::ArchiveReader> reader,
                           archive::ArchiveReader::Open(std::move(file), archive_path));
  const size_t thread_count = ThreadPool::AvailableCpus();
  // From a queue: all threads share one list.
  const std::vector<std::vector<Job>> shares = Deal(way, ListJobs(*reader), thread_count);
  std::vector<std::atomic<size_t>> next(shares.size());
  std::atomic<bool> failed{false};
  std::atomic<uint64_t> bytes{0};
  const auto work = [&](size_t thread) {
    const size_t share = thread % shares.size();
    const std::vector<Job>& jobs = shares[share];
    archive::ArchiveReader::ReadScratch scratch;
    Buffer plain(codec::kMaxSegmentBytes);
    for (size_t i; (i = next[share]++) < jobs.size();) {
      const size_t size = archive::ArchiveReader::SegmentBytes(*jobs[i].extent, jobs[i].segment);
      MutableByteSpan out = plain.span().first(size);
      if (!reader->ReadSegment(*jobs[i].extent, jobs[i].segment, scratch, out)) failed = true;
      bytes += size;
    }
  };
  const double start = NowSeconds(), cpu = ProcessCpuSeconds();
  std::vector<std::thread> threads;
  for (size_t i = 1; i < thread_count; ++i) threads.emplace_back(work, i);
  work(0);
  for (std::thread& thread : threads) thread.join();
  const Sample sample{NowSeconds() - start, ProcessCpuSeconds() - cpu, bytes};
  if (failed) return Error{ErrorCode::kCorrupt, archive_path + ": some segments cannot be decoded"};
  return sample;
}

}  // namespace entrofs::bench
