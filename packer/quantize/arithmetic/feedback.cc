#include "packer/quantize/arithmetic/feedback.h"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace entrofs::packer::quantize::arithmetic {
namespace {

constexpr size_t kLanes = 16;
constexpr double kDamping = 0.01;
// Rows that are rounded together, so that the factors are read once for all of them.
constexpr size_t kRowsAtOnce = 16;
// Rows of the Hessian that one job updates.
constexpr uint64_t kRowsPerJob = 64;

// In an order that depends on count alone.
float Dot(const float* a, const float* b, size_t count) {
  float sums[kLanes] = {};
  const size_t whole = count / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (size_t i = whole; i < count; ++i) sums[i - whole] += a[i] * b[i];
  float total = 0;
  for (float sum : sums) total += sum;
  return total;
}

void SubtractMultiple(float* to, float factor, const float* from, size_t count) {
  for (size_t i = 0; i < count; ++i) to[i] -= factor * from[i];
}

}  // namespace

ErrorFeedback::ErrorFeedback(std::vector<float> hessian, uint64_t columns, ThreadPool& pool)
    : columns_(columns), factors_(std::move(hessian)), weights_(columns) {
  assert(factors_.size() == columns * columns);
  const uint64_t n = columns;
  double trace = 0;
  for (uint64_t i = 0; i < n; ++i) trace += factors_[i * n + i];
  // All-zero inputs leave plain rounding.
  const double damping = trace > 0 ? kDamping * trace / static_cast<double>(n) : 1;
  const auto least = static_cast<float>(damping);
  for (uint64_t i = 0; i < n; ++i) factors_[i * n + i] += least;
  // From the last column: what remains of H after those behind it were taken out. The lower triangle is overwritten
  // by U', row k by column k of U.
  for (uint64_t k = n; k-- > 0;) {
    float* row = factors_.data() + k * n;
    // Rounding must not make it less than damping alone would leave.
    const float weight = std::max(row[k], least);
    weights_[k] = weight;
    for (uint64_t j = 0; j < k; ++j) row[j] /= weight;
    const uint64_t jobs = (k + kRowsPerJob - 1) / kRowsPerJob;
    auto update = [&](size_t job) {
      for (uint64_t i = job * kRowsPerJob; i < std::min<uint64_t>(k, (job + 1) * kRowsPerJob); ++i) {
        SubtractMultiple(factors_.data() + i * n, row[i] * weight, row, i + 1);
      }
    };
    if (jobs > 2) {
      pool.ParallelFor(jobs, update);
    } else {
      for (size_t job = 0; job < jobs; ++job) update(job);
    }
  }
}

tree::QuantizationError ErrorFeedback::Round(std::span<const float> weights, std::span<const Affine> affines,
                                             source::Dtype dtype, std::span<uint8_t> codes) const {
  const uint64_t n = columns_;
  assert(weights.size() == affines.size() * n && codes.size() == weights.size());
  tree::QuantizationError error;
  std::vector<float> lost(kRowsAtOnce * n);
  for (size_t first = 0; first < affines.size(); first += kRowsAtOnce) {
    const size_t rows = std::min(kRowsAtOnce, affines.size() - first);
    for (uint64_t k = 0; k < n; ++k) {
      const float* factors = factors_.data() + k * n;
      for (size_t r = 0; r < rows; ++r) {
        const float* row = weights.data() + (first + r) * n;
        float* row_lost = lost.data() + r * n;
        const float wanted = row[k] + Dot(row_lost, factors, k);
        uint8_t& code = codes[(first + r) * n + k];
        float value;
        Quantize(affines[first + r], &wanted, 1, &code);
        Dequantize(affines[first + r], dtype, &code, 1, &value);
        row_lost[k] = row[k] - value;
        const double miss = static_cast<double>(wanted) - value;
        const double signal = static_cast<double>(row[k]) + Dot(row, factors, k);
        error += {weights_[k] * signal * signal, weights_[k] * miss * miss};
      }
    }
  }
  return error;
}

}  // namespace entrofs::packer::quantize::arithmetic
