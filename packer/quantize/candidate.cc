#include "packer/quantize/candidate.h"

#include <algorithm>
#include <mutex>

#include "packer/quantize/parallel.h"

namespace entrofs::packer::quantize {
namespace {

// One job's share of a matrix: a multiple of every group size.
constexpr uint64_t kElementsPerJob = 1 << 20;
static_assert(kElementsPerJob % kVisitElements == 0);

struct Job {
  Candidate* candidate;
  uint64_t begin;
  uint64_t end;
};

// Cuts the matrices into jobs of about kElementsPerJob, of whole rows if so asked.
std::vector<Job> CutIntoJobs(std::vector<Candidate>& candidates, bool whole_rows) {
  std::vector<Job> jobs;
  for (Candidate& candidate : candidates) {
    const uint64_t columns = candidate.shape.columns;
    const uint64_t step = whole_rows ? std::max<uint64_t>(1, kElementsPerJob / columns) * columns : kElementsPerJob;
    const uint64_t count = candidate.shape.element_count();
    for (uint64_t begin = 0; begin < count; begin += step) {
      jobs.push_back({&candidate, begin, std::min(begin + step, count)});
    }
  }
  return jobs;
}

// Includes weights [first, first + count) of a matrix in the ranges of their rows.
void IncludeInRows(const float* weights, size_t count, uint64_t first, uint64_t columns, std::vector<Range>& rows) {
  for (uint64_t at = first; at < first + count;) {
    const uint64_t row_end = std::min((at / columns + 1) * columns, first + count);
    rows[at / columns].Include(weights + (at - first), row_end - at);
    at = row_end;
  }
}

}  // namespace

Range Candidate::WholeRange() const {
  Range whole;
  for (const Range& range : ranges) whole.Include(range);
  return whole;
}

Status FindRanges(const FirstPass& pass, std::vector<Candidate>& candidates, ThreadPool& pool) {
  for (Candidate& candidate : candidates)
    candidate.ranges.resize(pass.ranges_per_row(candidate) ? candidate.shape.rows : 1);
  const std::vector<Job> jobs = CutIntoJobs(candidates, /*whole_rows=*/true);
  std::vector<Range> whole(jobs.size());
  std::mutex mutex;  // guards the candidates' value histograms, whose sums do not depend on the order
  ENTROFS_RETURN_IF_ERROR(ParallelForStatus(pool, jobs.size(), [&](size_t i) -> Status {
    Candidate& candidate = *jobs[i].candidate;
    std::optional<ValueHistogram::Counter> counter;
    if (pass.count_values) counter.emplace();
    Status status = VisitWeights(*candidate.input->bytes, candidate.input->dtype, jobs[i].begin, jobs[i].end,
                                 [&](const float* weights, size_t count, uint64_t first) {
                                   if (counter) counter->Add(weights, count);
                                   if (candidate.ranges.size() == 1) return whole[i].Include(weights, count);
                                   IncludeInRows(weights, count, first, candidate.shape.columns, candidate.ranges);
                                 });
    if (!status) return std::move(status.error()).WithContext(candidate.input->name);
    if (counter) {
      ValueHistogram values = counter->Finish();
      std::lock_guard lock(mutex);
      candidate.values.Merge(values);
    }
    return OkStatus();
  }));
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (jobs[i].candidate->ranges.size() == 1) jobs[i].candidate->ranges[0].Include(whole[i]);
  }
  return OkStatus();
}

Status MeasureErrors(bool count_codes, std::vector<Candidate>& candidates, ThreadPool& pool) {
  const std::vector<Job> jobs = CutIntoJobs(candidates, /*whole_rows=*/false);
  std::vector<QuantizationError> errors(jobs.size());
  std::mutex mutex;  // guards the candidates' codes
  for (Candidate& candidate : candidates) {
    candidate.error = {};
    candidate.codes = {};
  }
  ENTROFS_RETURN_IF_ERROR(ParallelForStatus(pool, jobs.size(), [&](size_t i) -> Status {
    Candidate& candidate = *jobs[i].candidate;
    if (!candidate.matrix) return OkStatus();
    codec::Histogram codes{};
    Result<QuantizationError> error =
        candidate.matrix->Measure(jobs[i].begin, jobs[i].end, count_codes ? &codes : nullptr);
    if (!error) return std::move(error.error()).WithContext(candidate.input->name);
    errors[i] = *error;
    if (!count_codes) return OkStatus();
    std::lock_guard lock(mutex);
    for (size_t code = 0; code < codes.size(); ++code) candidate.codes[code] += codes[code];
    return OkStatus();
  }));
  for (size_t i = 0; i < jobs.size(); ++i) jobs[i].candidate->error += errors[i];
  return OkStatus();
}

}  // namespace entrofs::packer::quantize
