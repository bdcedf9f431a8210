#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "packer/tree/output_tensor.h"

namespace entrofs::packer::analyze {

// What the weights of one matrix look like.
struct Survey {
  double energy = 0;  // the sum of squares
  double rms = 0;     // root mean square
  double kurtosis =
      0;  // the fourth moment over the square of the second: 3 for a bell curve; around zero, not the mean
  float lowest = 0;
  float highest = 0;
  // How many weights lie in each of kBins equal intervals from -kSpan to kSpan times rms; the outermost two also count
  // what lies beyond.
  std::vector<uint64_t> histogram;
  std::vector<float> column_magnitudes;  // of each column's largest weight

  static constexpr int kBins = 81;
  static constexpr double kSpan = 4.5;
};

// Reads `matrix`, two-dimensional and of a quantizable dtype, once, on the pool and the calling thread. Holds 512 KiB
// and a number per column for every thread. The result does not depend on the number of threads, up to rounding, as
// weights are counted in BF16. Errors are those of reading.
Result<Survey> SurveyMatrix(const tree::OutputTensor& matrix, ThreadPool& pool);

// The columns that LLM.int8() would keep, by number: those whose largest weight is at least kOutlierFactor times the
// root mean square (its threshold of 6 is for inputs of about unit size), but at most one in kColumnsPerOutlier, the
// largest first: weights have long tails in many more columns than inputs have.
inline constexpr double kOutlierFactor = 6;
inline constexpr size_t kColumnsPerOutlier = 100;
std::vector<uint64_t> OutlierColumns(const Survey& survey);

}  // namespace entrofs::packer::analyze
