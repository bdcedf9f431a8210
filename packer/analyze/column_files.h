#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "packer/tree/output_tensor.h"

// A matrix taken apart by columns, computed when read. All files are thread-safe.
namespace entrofs::packer::analyze {

// `matrix` (two-dimensional, of whole-byte elements) with zeros in `columns`, which are in ascending order.
tree::OutputTensor WithoutColumns(const tree::OutputTensor& matrix, const std::vector<uint64_t>& columns);

// `columns` of `matrix` alone, side by side in the same order. Requires: at least one column.
tree::OutputTensor OnlyColumns(const tree::OutputTensor& matrix, const std::vector<uint64_t>& columns);

}  // namespace entrofs::packer::analyze
