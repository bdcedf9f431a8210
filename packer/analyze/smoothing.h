#pragma once

#include <span>
#include <vector>

#include "packer/tree/output_tensor.h"

// SmoothQuant's rescaling (Xiao et al. 2022, equation 4 with alpha = 0.5): input channels of a layer that run large are
// divided by a factor, and the columns of its weights that they meet are multiplied by it.
namespace entrofs::packer::analyze {

// The factor of each column, from the mean squares of the inputs and the largest magnitudes of the weights. The root of
// the mean square stands for the largest input, which a calibration does not hold. Columns of zeros keep the factor 1.
// Requires: spans of equal size.
std::vector<float> SmoothingFactors(std::span<const float> moments, std::span<const float> magnitudes);

// `matrix` (of floats) with column j multiplied by factors[j] and rounded to its dtype, computed when read.
tree::OutputTensor WithScaledColumns(const tree::OutputTensor& matrix, std::vector<float> factors);

}  // namespace entrofs::packer::analyze
