#include "packer/quantize/arithmetic/rate.h"

#include <algorithm>
#include <cmath>

#include "base/portable_math.h"
#include "packer/quantize/arithmetic/float_formats.h"

namespace entrofs::packer::quantize::arithmetic {
namespace {

constexpr int kMaxTrials = 60;
constexpr double kTrialTolerance = 1e-4;
// In octaves: bits jump a little where many equal weights change their code, so a target may lie in a jump.
constexpr double kNarrowest = 1e-4;

constexpr int kMiddle = 128;
constexpr int kLargest = 127;

// Adding and taking away 1.5 * 2^52 rounds a number to an integer, ties to even.
constexpr double kRounder = 6755399441055744.0;

// What the archive adds to a segment of coded bytes: checksum, place in the index, stream headers.
constexpr double kSegmentOverheadBytes = 72;
// Scales, shape and names of a tensor, which are few different bytes.
constexpr double kTensorOverheadBytes = 120;

}  // namespace

double RowFactor(double mean_square) {
  constexpr double kQuarters[4] = {1, 1.18920711500272106672, 1.41421356237309504880, 1.68179283050742908606};
  if (!(mean_square > 0)) return 1;
  // The square root of the root mean square is the fourth root of the mean square.
  const int quarters = static_cast<int>(std::floor(Log2(mean_square) + 0.5));
  const int octaves = quarters >> 2;
  return std::ldexp(kQuarters[quarters - 4 * octaves], octaves);
}

StepOutcome TryStep(const ValueHistogram& weights, double step) {
  StepOutcome outcome;
  const double per_unit = 1 / step;
  double product = 0, energy = 0;
  // Entries are in order, so those of a code follow one another.
  const std::vector<ValueHistogram::Entry>& entries = weights.entries();
  for (size_t i = 0; i < entries.size();) {
    const double steps = (entries[i].value * per_unit + kRounder) - kRounder;
    uint64_t count = 0;
    double sum = 0;
    for (; i < entries.size() && (entries[i].value * per_unit + kRounder) - kRounder == steps; ++i) {
      count += entries[i].count;
      sum += static_cast<double>(entries[i].count) * entries[i].value;
    }
    const double code = std::clamp(steps, -double{kLargest}, double{kLargest});
    const int place = kMiddle + static_cast<int>(code);
    outcome.codes[static_cast<size_t>(place)] += count;
    if (code != steps) continue;  // its row will have a larger step
    product += code * sum;
    energy += static_cast<double>(count) * code * code;
  }
  if (energy > 0) outcome.gain = 1 - kCentroidShare * (1 - product / (energy * step));
  return outcome;
}

Affine FitStep(const ValueRange& row, double step, double gain, source::Dtype dtype) {
  const double largest = std::max(-static_cast<double>(row.lowest), static_cast<double>(row.highest));
  Affine affine;
  affine.zero_point = kMiddle;
  affine.lowest = kMiddle - kLargest;
  affine.highest = kMiddle + kLargest;
  if (largest > kLargest * step) return FitSymmetric(row, 8, dtype);
  affine.step = static_cast<float>(step);
  // F32 scales need no more digits than BF16 has, and cost half as much with them.
  const source::Dtype precision = dtype == source::Dtype::kF32 ? source::Dtype::kBf16 : dtype;
  affine.scale = std::max(RoundFloat(precision, static_cast<float>(step * gain)), SmallestPositive(dtype));
  return affine;
}

double CodedBits(const codec::Histogram& codes) {
  const std::shared_ptr<const codec::EncodeTable> table = codec::BuildTable(codec::CodecKind::kTans, codes);
  if (!table) return codec::EntropyBits(codes);
  return codec::EstimateBits(*table, codes) + 8 * static_cast<double>(codec::SerializedTable(*table).size());
}

double OverheadBits(uint64_t count, uint32_t segment_bytes) {
  const uint64_t segments = (count + segment_bytes - 1) / segment_bytes;
  return 8 * (static_cast<double>(segments) * kSegmentOverheadBytes + kTensorOverheadBytes);
}

double FindStep(const std::function<double(double step)>& bits_at, double target_bits, double lowest, double highest) {
  // False position in the logarithm of the step, where the curve is nearly straight; halving now and then, for the
  // parts where it is not.
  double low = Log2(lowest), high = Log2(highest);
  double excess = bits_at(lowest) - target_bits, shortfall = bits_at(highest) - target_bits;
  if (excess <= 0) return lowest;
  if (shortfall >= 0) return highest;
  double middle = high;
  for (int i = 0; i < kMaxTrials && high - low > kNarrowest; ++i) {
    middle = i % 3 == 0 ? (low + high) / 2 : low + (high - low) * excess / (excess - shortfall);
    const double difference = bits_at(Exp2(middle)) - target_bits;
    if (std::abs(difference) <= kTrialTolerance * target_bits) break;
    (difference > 0 ? low : high) = middle;
    (difference > 0 ? excess : shortfall) = difference;
  }
  return Exp2(middle);
}

}  // namespace entrofs::packer::quantize::arithmetic
