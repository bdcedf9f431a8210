#include "packer/quantize/candidate.h"

#include <algorithm>
#include <mutex>

#include "packer/quantize/parallel.h"
#include "packer/quantize/rate.h"

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

// Calls `visit(row, weights, count)` for the pieces of rows in [first, first + count) of a matrix, in order.
template <typename Visit>
void VisitRows(const float* weights, size_t count, uint64_t first, uint64_t columns, const Visit& visit) {
  for (uint64_t at = first; at < first + count;) {
    const uint64_t row_end = std::min((at / columns + 1) * columns, first + count);
    visit(at / columns, weights + (at - first), row_end - at);
    at = row_end;
  }
}

// Fills the row factors of a job's rows and counts its weights divided by them.
Result<ValueHistogram> CountValues(const Job& job) {
  Candidate& candidate = *job.candidate;
  const uint64_t columns = candidate.shape.columns;
  const uint64_t first_row = job.begin / columns;
  std::vector<double> energies(job.end / columns - first_row);
  ENTROFS_RETURN_IF_ERROR(VisitWeights(*candidate.input->bytes, candidate.input->dtype, job.begin, job.end,
                                       [&](const float* weights, size_t count, uint64_t first) {
                                         VisitRows(weights, count, first, columns,
                                                   [&](uint64_t row, const float* piece, size_t size) {
                                                     energies[row - first_row] += Energy(piece, size);
                                                   });
                                       }));
  for (size_t i = 0; i < energies.size(); ++i) {
    const double mean_square = energies[i] / static_cast<double>(columns);
    candidate.row_factors[first_row + i] = static_cast<float>(RowFactor(mean_square / candidate.importance));
  }
  ValueHistogram::Counter counter;
  ENTROFS_RETURN_IF_ERROR(VisitWeights(*candidate.input->bytes, candidate.input->dtype, job.begin, job.end,
                                       [&](const float* weights, size_t count, uint64_t first) {
                                         VisitRows(weights, count, first, columns,
                                                   [&](uint64_t row, const float* piece, size_t size) {
                                                     counter.Add(piece, size, 1 / candidate.row_factors[row]);
                                                   });
                                       }));
  return counter.Finish();
}

}  // namespace

Range Candidate::WholeRange() const {
  Range whole;
  for (const Range& range : ranges) whole.Include(range);
  return whole;
}

Status FindRanges(const FirstPass& pass, std::vector<Candidate>& candidates, ThreadPool& pool) {
  for (Candidate& candidate : candidates) {
    candidate.ranges.resize(pass.ranges_per_row(candidate) ? candidate.shape.rows : 1);
    if (pass.count_values) candidate.row_factors.resize(candidate.shape.rows);
  }
  const std::vector<Job> jobs = CutIntoJobs(candidates, /*whole_rows=*/true);
  std::vector<Range> whole(jobs.size());
  std::mutex mutex;  // guards the candidates' value histograms, whose sums do not depend on the order
  ENTROFS_RETURN_IF_ERROR(ParallelForStatus(pool, jobs.size(), [&](size_t i) -> Status {
    Candidate& candidate = *jobs[i].candidate;
    Status status = VisitWeights(
        *candidate.input->bytes, candidate.input->dtype, jobs[i].begin, jobs[i].end,
        [&](const float* weights, size_t count, uint64_t first) {
          if (candidate.ranges.size() == 1) return whole[i].Include(weights, count);
          VisitRows(weights, count, first, candidate.shape.columns,
                    [&](uint64_t row, const float* piece, size_t size) { candidate.ranges[row].Include(piece, size); });
        });
    if (status && pass.count_values) {
      Result<ValueHistogram> values = CountValues(jobs[i]);
      if (values) {
        std::lock_guard lock(mutex);
        candidate.values.Merge(*values);
      } else {
        status = std::move(values.error());
      }
    }
    return status ? OkStatus() : Status(std::move(status.error()).WithContext(candidate.input->name));
  }));
  for (size_t i = 0; i < jobs.size(); ++i) {
    Candidate& candidate = *jobs[i].candidate;
    if (candidate.ranges.size() == 1) candidate.ranges[0].Include(whole[i]);
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

Status MeasureOutputErrors(std::vector<Candidate>& candidates, ThreadPool& pool) {
  return ParallelForStatus(pool, candidates.size(), [&](size_t i) -> Status {
    Candidate& candidate = candidates[i];
    if (!candidate.matrix || candidate.moments.empty() || candidate.output_error) return OkStatus();
    const uint64_t columns = candidate.shape.columns;
    std::vector<uint8_t> codes(kVisitElements);
    std::vector<float> values(kVisitElements);
    std::vector<Affine> affines(1);
    QuantizationError error;
    Status read = OkStatus();
    auto add = [&](const float* weights, size_t count, uint64_t first) {
      if (!read) return;
      read = candidate.matrix->ReadCodes(first, count, codes.data());
      VisitRows(weights, count, first, columns, [&](uint64_t, const float* piece, size_t size) {
        const uint64_t at = first + static_cast<uint64_t>(piece - weights);
        for (uint64_t done = 0; read && done < size;) {
          const uint64_t run = (at + done) / candidate.matrix->run_length();
          const uint64_t end = std::min((run + 1) * candidate.matrix->run_length() - at, uint64_t{size});
          read = candidate.matrix->ReadAffines(run, 1, affines.data());
          Dequantize(affines[0], candidate.input->dtype, codes.data() + (at + done - first), end - done, values.data());
          for (uint64_t j = done; j < end; ++j) {
            const double moment = candidate.moments[(at + j) % columns], weight = piece[j];
            const double difference = weight - values[j - done];
            error += {moment * weight * weight, moment * difference * difference};
          }
          done = end;
        }
      });
    };
    Status status =
        VisitWeights(*candidate.input->bytes, candidate.input->dtype, 0, candidate.shape.element_count(), add);
    if (status) status = std::move(read);
    if (!status) return std::move(status.error()).WithContext(candidate.input->name);
    candidate.output_error = error;
    return OkStatus();
  });
}

}  // namespace entrofs::packer::quantize
