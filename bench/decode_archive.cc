#include <time.h>

#include <atomic>
#include <thread>

#include "archive/archive_reader.h"
#include "base/thread_pool.h"
#include "bench/mount_race.h"

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

double ProcessCpuSeconds() {
  timespec now;
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace

Result<Sample> DecodeArchive(const std::string& archive_path) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, OpenForReading(archive_path));
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<archive::ArchiveReader> reader,
                           archive::ArchiveReader::Open(std::move(file), archive_path));
  const std::vector<Job> jobs = ListJobs(*reader);
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  std::atomic<uint64_t> bytes{0};
  const auto work = [&] {
    archive::ArchiveReader::ReadScratch scratch;
    Buffer plain(codec::kMaxSegmentBytes);
    for (size_t i; (i = next++) < jobs.size();) {
      const size_t size = archive::ArchiveReader::SegmentBytes(*jobs[i].extent, jobs[i].segment);
      MutableByteSpan out = plain.span().first(size);
      if (!reader->ReadSegment(*jobs[i].extent, jobs[i].segment, scratch, out)) failed = true;
      bytes += size;
    }
  };
  const double start = NowSeconds(), cpu = ProcessCpuSeconds();
  std::vector<std::thread> threads;
  for (size_t i = 1; i < ThreadPool::AvailableCpus(); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  const Sample sample{NowSeconds() - start, ProcessCpuSeconds() - cpu, bytes};
  if (failed) return Error{ErrorCode::kCorrupt, archive_path + ": some segments cannot be decoded"};
  return sample;
}

}  // namespace entrofs::bench
