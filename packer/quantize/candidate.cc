#include "packer/quantize/candidate.h"

#include <algorithm>
#include <memory>
#include <mutex>

#include "base/buffer.h"
#include "base/parallel.h"
#include "packer/quantize/arithmetic/float_formats.h"
#include "packer/quantize/arithmetic/pattern_counts.h"
#include "packer/quantize/arithmetic/rate.h"

namespace entrofs::packer::quantize {
namespace {

// One job's share of a matrix: a multiple of every group size.
constexpr uint64_t kElementsPerJob = 1 << 20;
static_assert(kElementsPerJob % arithmetic::kVisitElements == 0);

// Codes of so many weights are kept from being measured until they are packed.
constexpr uint64_t kMostKeptCodes = 64 << 20;

// Bytes of 16-bit floats read at a time.
constexpr uint64_t kPatternBytes = 128 << 10;

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

// Calls `first` and then `second`, as VisitRows does, for elements [begin, end) of an input: reads them once when they
// are few, else twice.
template <typename First, typename Second>
Status VisitRowsTwice(const tree::OutputTensor& input, uint64_t columns, uint64_t begin, uint64_t end,
                      const First& first, const Second& second) {
  auto visitor = [columns](const auto& visit) {
    return [&visit, columns](const float* weights, size_t count, uint64_t at) {
      VisitRows(weights, count, at, columns, visit);
    };
  };
  if (end - begin <= arithmetic::kVisitElements) {
    return arithmetic::VisitWeights(*input.bytes, input.dtype, begin, end,
                                    [&](const float* weights, size_t count, uint64_t at) {
                                      visitor(first)(weights, count, at);
                                      visitor(second)(weights, count, at);
                                    });
  }
  ENTROFS_RETURN_IF_ERROR(arithmetic::VisitWeights(*input.bytes, input.dtype, begin, end, visitor(first)));
  return arithmetic::VisitWeights(*input.bytes, input.dtype, begin, end, visitor(second));
}

// Fills the ranges and factors of a job's rows and counts its weights divided by their row's factor.
Status SurveyRows(const Job& job, arithmetic::ValueHistogram::Counter& counter) {
  Candidate& candidate = *job.candidate;
  const uint64_t columns = candidate.shape.columns;
  const uint64_t step = std::max<uint64_t>(1, arithmetic::kVisitElements / columns) * columns;
  std::vector<double> energies;
  for (uint64_t begin = job.begin; begin < job.end; begin += step) {
    const uint64_t end = std::min(begin + step, job.end), first_row = begin / columns;
    energies.assign((end - begin) / columns, 0);
    size_t fitted = 0;
    auto measure = [&](uint64_t row, const float* part, size_t size) {
      candidate.ranges[row].Include(part, size);
      energies[row - first_row] += arithmetic::Energy(part, size);
    };
    auto count = [&](uint64_t row, const float* part, size_t size) {
      for (; fitted <= row - first_row; ++fitted) {
        const double mean_square = energies[fitted] / static_cast<double>(columns);
        candidate.row_factors[first_row + fitted] =
            static_cast<float>(arithmetic::RowFactor(mean_square / candidate.importance));
      }
      counter.Add(part, size, 1 / candidate.row_factors[row]);
    };
    ENTROFS_RETURN_IF_ERROR(VisitRowsTwice(*candidate.input, columns, begin, end, measure, count));
  }
  return OkStatus();
}

Status FindRange(const Job& job, arithmetic::ValueRange& whole) {
  Candidate& candidate = *job.candidate;
  return arithmetic::VisitWeights(
      *candidate.input->bytes, candidate.input->dtype, job.begin, job.end,
      [&](const float* weights, size_t count, uint64_t first) {
        if (candidate.ranges.size() == 1) return whole.Include(weights, count);
        VisitRows(weights, count, first, candidate.shape.columns,
                  [&](uint64_t row, const float* part, size_t size) { candidate.ranges[row].Include(part, size); });
      });
}

Status CountPatterns(const Job& job, arithmetic::PatternCounts& counts) {
  Buffer chunk(std::min(kPatternBytes, 2 * (job.end - job.begin)));
  for (uint64_t offset = 2 * job.begin; offset < 2 * job.end; offset += kPatternBytes) {
    const MutableByteSpan bytes = chunk.span().first(std::min(kPatternBytes, 2 * job.end - offset));
    ENTROFS_RETURN_IF_ERROR(job.candidate->input->bytes->ReadAt(offset, bytes));
    counts.Add(bytes.data(), bytes.size() / 2);
  }
  return OkStatus();
}

// One for each candidate whose codes are to be kept until they are packed, so that weights need not be read again;
// empty ones for the others.
std::vector<Buffer> BuffersForCodes(const std::vector<Candidate>& candidates) {
  std::vector<Buffer> buffers(candidates.size());
  uint64_t left = kMostKeptCodes;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& candidate = candidates[i];
    const uint64_t count = candidate.shape.element_count();
    if (!candidate.matrix || candidate.is_measured || candidate.matrix->has_codes() || count > left) continue;
    left -= count;
    buffers[i] = Buffer(count);
  }
  return buffers;
}

}  // namespace

arithmetic::ValueRange Candidate::WholeRange() const {
  arithmetic::ValueRange whole;
  for (const arithmetic::ValueRange& range : ranges) whole.Include(range);
  return whole;
}

Status MeasureWholeMatrices(const FitMatrix& fit, std::vector<Candidate>& candidates, ThreadPool& pool) {
  // Of the matrices that are being read.
  struct Open {
    size_t jobs_left = 0;
    std::unique_ptr<arithmetic::PatternCounts> counts;
  };
  std::vector<Job> jobs = CutIntoJobs(candidates, /*whole_rows=*/false);
  std::erase_if(jobs, [](const Job& job) { return arithmetic::ByteWidth(job.candidate->input->dtype) != 2; });
  std::vector<Open> open(candidates.size());
  for (const Job& job : jobs) ++open[static_cast<size_t>(job.candidate - candidates.data())].jobs_left;
  Reused<arithmetic::PatternCounts> idle;
  std::mutex mutex;  // guards `open`; sums do not depend on the order
  auto finish = [&](Candidate& candidate, const arithmetic::PatternCounts& counts) {
    const source::Dtype dtype = candidate.input->dtype;
    const arithmetic::PatternCounts::Values weights = counts.ValuesOf(dtype);
    candidate.ranges = {weights.range()};
    if (!candidate.ranges[0].finite) return;
    candidate.error = weights.Measure(fit(candidate.ranges[0], dtype), dtype, candidate.codes);
    candidate.is_measured = true;
  };
  return ParallelForStatus(pool, jobs.size(), [&](size_t i) -> Status {
    Candidate& candidate = *jobs[i].candidate;
    std::unique_ptr<arithmetic::PatternCounts> counts = idle.Take();
    Status status = CountPatterns(jobs[i], *counts);
    if (!status) return std::move(status.error()).WithContext(candidate.input->name);
    std::unique_ptr<arithmetic::PatternCounts> whole;
    {
      std::lock_guard lock(mutex);
      Open& all = open[static_cast<size_t>(&candidate - candidates.data())];
      if (all.counts) {
        all.counts->Merge(*counts);
      } else {
        all.counts = std::move(counts);
      }
      if (--all.jobs_left == 0) whole = std::move(all.counts);
    }
    if (whole) finish(candidate, *whole);
    for (std::unique_ptr<arithmetic::PatternCounts>* spent : {&counts, &whole}) {
      if (!*spent) continue;
      (*spent)->Clear();
      idle.Give(std::move(*spent));
    }
    return OkStatus();
  });
}

Status FindRanges(const FirstPass& pass, std::vector<Candidate>& candidates, ThreadPool& pool) {
  std::vector<Job> jobs = CutIntoJobs(candidates, /*whole_rows=*/true);
  std::erase_if(jobs, [](const Job& job) { return !job.candidate->ranges.empty(); });
  for (Candidate& candidate : candidates) {
    if (!candidate.ranges.empty()) continue;
    candidate.ranges.resize(pass.ranges_per_row(candidate) ? candidate.shape.rows : 1);
    if (pass.count_values) candidate.row_factors.resize(candidate.shape.rows);
  }
  std::vector<arithmetic::ValueRange> whole(jobs.size());
  Reused<arithmetic::ValueHistogram::Counter> counters;
  std::mutex mutex;  // guards the candidates' value histograms, whose sums do not depend on the order
  ENTROFS_RETURN_IF_ERROR(ParallelForStatus(pool, jobs.size(), [&](size_t i) -> Status {
    Candidate& candidate = *jobs[i].candidate;
    if (!pass.count_values) {
      Status status = FindRange(jobs[i], whole[i]);
      return status ? OkStatus() : Status(std::move(status.error()).WithContext(candidate.input->name));
    }
    std::unique_ptr<arithmetic::ValueHistogram::Counter> counter = counters.Take();
    Status status = SurveyRows(jobs[i], *counter);
    if (!status) return std::move(status.error()).WithContext(candidate.input->name);
    const arithmetic::ValueHistogram values = counter->Finish();
    counters.Give(std::move(counter));
    std::lock_guard lock(mutex);
    candidate.values.Merge(values);
    return OkStatus();
  }));
  for (size_t i = 0; i < jobs.size(); ++i) {
    Candidate& candidate = *jobs[i].candidate;
    if (candidate.ranges.size() == 1) candidate.ranges[0].Include(whole[i]);
  }
  return OkStatus();
}

Status MeasureErrors(std::vector<Candidate>& candidates, ThreadPool& pool) {
  std::vector<Job> jobs = CutIntoJobs(candidates, /*whole_rows=*/false);
  std::erase_if(jobs, [](const Job& job) { return !job.candidate->matrix || job.candidate->is_measured; });
  std::vector<tree::QuantizationError> errors(jobs.size());
  std::vector<Buffer> kept = BuffersForCodes(candidates);
  std::mutex mutex;  // guards the candidates' codes
  for (Candidate& candidate : candidates) {
    if (candidate.is_measured) continue;
    candidate.error = {};
    candidate.codes = {};
  }
  ENTROFS_RETURN_IF_ERROR(ParallelForStatus(pool, jobs.size(), [&](size_t i) -> Status {
    Candidate& candidate = *jobs[i].candidate;
    codec::Histogram codes{};
    Buffer& keep = kept[static_cast<size_t>(&candidate - candidates.data())];
    Result<tree::QuantizationError> error = candidate.matrix->Measure(
        jobs[i].begin, jobs[i].end, codes, keep.size() == 0 ? nullptr : keep.data() + jobs[i].begin);
    if (!error) return std::move(error.error()).WithContext(candidate.input->name);
    errors[i] = *error;
    std::lock_guard lock(mutex);
    for (size_t code = 0; code < codes.size(); ++code) candidate.codes[code] += codes[code];
    return OkStatus();
  }));
  for (size_t i = 0; i < jobs.size(); ++i) jobs[i].candidate->error += errors[i];
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (kept[i].size() > 0)
      candidates[i].matrix = candidates[i].matrix->WithCodes(tree::BufferInMemory(std::move(kept[i])));
  }
  return OkStatus();
}

Status MeasureOutputErrors(std::vector<Candidate>& candidates, ThreadPool& pool) {
  return ParallelForStatus(pool, candidates.size(), [&](size_t i) -> Status {
    Candidate& candidate = candidates[i];
    if (!candidate.matrix || candidate.moments.empty() || candidate.output_error) return OkStatus();
    const uint64_t columns = candidate.shape.columns;
    std::vector<uint8_t> codes(arithmetic::kVisitElements);
    std::vector<float> values(arithmetic::kVisitElements);
    std::vector<arithmetic::Affine> affines(1);
    tree::QuantizationError error;
    Status read = OkStatus();
    auto add = [&](const float* weights, size_t count, uint64_t first) {
      if (!read) return;
      read = candidate.matrix->ReadCodes(first, count, codes.data());
      VisitRows(weights, count, first, columns, [&](uint64_t, const float* part, size_t size) {
        const uint64_t at = first + static_cast<uint64_t>(part - weights);
        for (uint64_t done = 0; read && done < size;) {
          const uint64_t run = (at + done) / candidate.matrix->run_length();
          const uint64_t end = std::min((run + 1) * candidate.matrix->run_length() - at, uint64_t{size});
          read = candidate.matrix->ReadAffines(run, 1, affines.data());
          arithmetic::Dequantize(affines[0], candidate.input->dtype, codes.data() + (at + done - first), end - done,
                                 values.data());
          for (uint64_t j = done; j < end; ++j) {
            const double moment = candidate.moments[(at + j) % columns], weight = part[j];
            const double difference = weight - values[j - done];
            error += {moment * weight * weight, moment * difference * difference};
          }
          done = end;
        }
      });
    };
    Status status = arithmetic::VisitWeights(*candidate.input->bytes, candidate.input->dtype, 0,
                                             candidate.shape.element_count(), add);
    if (status) status = std::move(read);
    if (!status) return std::move(status.error()).WithContext(candidate.input->name);
    candidate.output_error = error;
    return OkStatus();
  });
}

}  // namespace entrofs::packer::quantize
