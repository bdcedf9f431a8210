#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "packer/output_tensor.h"

// A matrix taken apart by columns, computed when read. All files are thread-safe.
namespace entrofs::packer::analyze {

// `matrix` (two-dimensional, of whole-byte elements) with zeros in `columns`, which are in ascending order.
OutputTensor WithoutColumns(const OutputTensor& matrix, const std::vector<uint64_t>& columns);

// `columns` of `matrix` alone, side by side in the same order. Requires: at least one column.
OutputTensor OnlyColumns(const OutputTensor& matrix, const std::vector<uint64_t>& columns);

}  // namespace entrofs::packer::analyze
