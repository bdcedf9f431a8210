#include "packer/analyze/survey.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "base/parallel.h"
#include "packer/quantize/arithmetic/matrix.h"
#include "packer/quantize/arithmetic/value_histogram.h"

namespace entrofs::packer::analyze {
namespace {

using quantize::arithmetic::ValueHistogram;

constexpr uint64_t kElementsPerJob = 4 << 20;

// Raises each column's magnitude to those of weights [first, first + count), numbered row by row.
void IncludeColumns(const float* weights, size_t count, uint64_t first, std::vector<float>& magnitudes) {
  size_t column = first % magnitudes.size();
  for (size_t i = 0; i < count; ++i) {
    magnitudes[column] = std::max(magnitudes[column], std::abs(weights[i]));
    if (++column == magnitudes.size()) column = 0;
  }
}

void Summarize(const quantize::arithmetic::ValueHistogram& values, Survey& survey) {
  double count = 0, fourth = 0;
  for (const quantize::arithmetic::ValueHistogram::Entry& entry : values.entries()) {
    const double value = entry.value, times = static_cast<double>(entry.count);
    count += times;
    survey.energy += times * value * value;
    fourth += times * value * value * value * value;
  }
  survey.histogram.resize(Survey::kBins);
  if (survey.energy == 0) {
    survey.histogram[Survey::kBins / 2] = values.weight_count();
    return;
  }
  survey.rms = std::sqrt(survey.energy / count);
  survey.kurtosis = fourth * count / (survey.energy * survey.energy);
  survey.lowest = values.entries().front().value;
  survey.highest = values.entries().back().value;
  const double bin = 2 * Survey::kSpan * survey.rms / Survey::kBins;
  for (const quantize::arithmetic::ValueHistogram::Entry& entry : values.entries()) {
    const double place = std::floor(entry.value / bin + Survey::kBins / 2.0);
    survey.histogram[static_cast<size_t>(std::clamp(place, 0.0, Survey::kBins - 1.0))] += entry.count;
  }
}

}  // namespace

Result<Survey> SurveyMatrix(const tree::OutputTensor& matrix, ThreadPool& pool) {
  const uint64_t columns = matrix.shape[1];
  const uint64_t count = matrix.shape[0] * columns;
  const size_t jobs = (count + kElementsPerJob - 1) / kElementsPerJob;
  Survey survey;
  survey.column_magnitudes.resize(columns);
  quantize::arithmetic::ValueHistogram values;
  std::mutex mutex;  // guards both, whose contents do not depend on the order
  Status status = ParallelForStatus(pool, jobs, [&](size_t job) -> Status {
    const uint64_t begin = job * kElementsPerJob, end = std::min(begin + kElementsPerJob, count);
    quantize::arithmetic::ValueHistogram::Counter counter;
    std::vector<float> magnitudes(columns);
    ENTROFS_RETURN_IF_ERROR(quantize::arithmetic::VisitWeights(*matrix.bytes, matrix.dtype, begin, end,
                                                               [&](const float* weights, size_t size, uint64_t first) {
                                                                 counter.Add(weights, size);
                                                                 IncludeColumns(weights, size, first, magnitudes);
                                                               }));
    const quantize::arithmetic::ValueHistogram counted = counter.Finish();
    std::lock_guard lock(mutex);
    values.Merge(counted);
    for (size_t i = 0; i < columns; ++i) {
      survey.column_magnitudes[i] = std::max(survey.column_magnitudes[i], magnitudes[i]);
    }
    return OkStatus();
  });
  if (!status) return std::move(status.error()).WithContext(matrix.name);
  Summarize(values, survey);
  return survey;
}

std::vector<uint64_t> OutlierColumns(const Survey& survey) {
  const std::vector<float>& magnitudes = survey.column_magnitudes;
  std::vector<uint64_t> outliers;
  for (uint64_t column = 0; column < magnitudes.size(); ++column) {
    if (survey.energy > 0 && magnitudes[column] >= kOutlierFactor * survey.rms) outliers.push_back(column);
  }
  std::stable_sort(outliers.begin(), outliers.end(),
                   [&](uint64_t a, uint64_t b) { return magnitudes[a] > magnitudes[b]; });
  const size_t most = (magnitudes.size() + kColumnsPerOutlier - 1) / kColumnsPerOutlier;
  outliers.resize(std::min(outliers.size(), most));
  std::sort(outliers.begin(), outliers.end());
  return outliers;
}

}  // namespace entrofs::packer::analyze
