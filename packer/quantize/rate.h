#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "codec/codec.h"
#include "packer/quantize/affine.h"
#include "packer/quantize/value_histogram.h"

// Rate-targeted quantization: behind an entropy coder a matrix costs what its codes' histogram says, whatever the width
// of the container, so the step is chosen for a number of bits.
//
// Steps are steps of one base step. With that step everywhere, a bit would buy the same in every matrix: the least
// total noise for a total of bits. Two departures cost less than they give. The rows of a matrix share a table, which
// pays for rows of different spread; a row's step grows with the square root of its spread, half way to a histogram
// that is the same for all rows. And a matrix's own step grows with the fourth root of its spread, because layers of
// small weights matter to a model more than their share of the energy says.
namespace entrofs::packer::quantize {

// What multiplies the step of a row whose weights have this mean square, within its matrix: the square root of the root
// mean square, rounded to a quarter of an octave so that rows share few different scales.
double RowFactor(double mean_square);
// What multiplies the steps of all rows of a matrix, beside their row factors, so that it is the fourth root of the
// root mean square that counts between matrices.
double MatrixFactor(double mean_square);

// What one step makes of a matrix, each weight divided by its row's factor.
struct StepOutcome {
  codec::Histogram codes{};
  // What a code's distance from zero stands for, in steps: the least-squares fit to the weights, below 1 where the step
  // is coarse and weights sit nearer to zero than the middle of their interval.
  double gain = 1;
};
StepOutcome TryStep(const ValueHistogram& weights, double step);

// Parameters of a row for a step and gain: codes -127..127 around 128. A row whose largest weights would not fit gets
// the larger step that they ask for.
Affine FitStep(const Range& row, double step, double gain, Dtype dtype);

// Bits of these codes entropy-coded with a table of their own, and of the table.
double CodedBits(const codec::Histogram& codes);
// Bits the archive adds to a matrix of `count` 8-bit codes: for its segments, its scales and its shape.
double OverheadBits(uint64_t count);

// The step between `lowest` and `highest` at which `bits_at(step)`, which falls by about a bit per weight as the step
// doubles, is within a ten-thousandth of `target_bits`; the nearer end where no step is.
double FindStep(const std::function<double(double step)>& bits_at, double target_bits, double lowest, double highest);

}  // namespace entrofs::packer::quantize
