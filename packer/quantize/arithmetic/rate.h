#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "codec/codec.h"
#include "packer/quantize/arithmetic/affine.h"
#include "packer/quantize/arithmetic/value_histogram.h"

// Rate-targeted quantization: behind an entropy coder a matrix costs what its codes' histogram says, whatever the width
// of the container, so the step is chosen for a number of bits.
//
// With one step for all weights a bit would buy the same everywhere: the least total noise for a total of bits. Instead
// the step of a row grows with the square root of the row's spread. Within a matrix, whose rows share a code table,
// that is half way to a histogram that is the same for all rows, and gives less noise than one step. Between matrices
// it costs 0.1 dB in all, and spares those of small weights, which matter to a model more than their share of the
// energy.
namespace entrofs::packer::quantize::arithmetic {

// What multiplies the step of a row whose weights have this mean square: the square root of the root mean square,
// rounded to a quarter of an octave so that rows share few different scales.
double RowFactor(double mean_square);

// How far from the middle of their interval to the weights' centroid codes are read back: two thirds of the way save
// eight ninths of the error that the whole way would, and shrink the matrix less, which models feel more than noise.
inline constexpr double kCentroidShare = 2.0 / 3;

// What one step makes of a matrix, each weight divided by its row's factor.
struct StepOutcome {
  codec::Histogram codes{};
  // What a code's distance from zero stands for, in steps: nearly the least-squares fit to the weights, below 1 where
  // the step is coarse and weights sit nearer to zero than the middle of their interval.
  double gain = 1;
};
StepOutcome TryStep(const ValueHistogram& weights, double step);

// Parameters of a row for a step and gain: codes -127..127 around 128. A row whose largest weights would not fit gets
// the larger step that they ask for.
Affine FitStep(const ValueRange& row, double step, double gain, source::Dtype dtype);

// Bits of these codes entropy-coded with a table of their own, and of the table.
double CodedBits(const codec::Histogram& codes);
// Bits the archive adds to a matrix of `count` 8-bit codes: for its segments, its scales and its shape.
double OverheadBits(uint64_t count, uint32_t segment_bytes);

// The step between `lowest` and `highest` at which `bits_at(step)`, which falls by about a bit per weight as the step
// doubles, is within a ten-thousandth of `target_bits`; the nearer end where no step is.
double FindStep(const std::function<double(double step)>& bits_at, double target_bits, double lowest, double highest);

}  // namespace entrofs::packer::quantize::arithmetic
