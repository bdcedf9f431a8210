#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "archive/views.h"
#include "view/derived.h"

// Derived extents of archive::Function::kDequantize; see view/derived.h, which calls these, for what they do.
namespace entrofs::view {

std::vector<InputRange> DequantizeInputs(const archive::DerivedExtent& derived, uint64_t offset_bytes,
                                         uint64_t length_bytes);
void DequantizeRange(const archive::DerivedExtent& derived, uint64_t offset_bytes, std::span<const ByteSpan> inputs,
                     MutableByteSpan out);

}  // namespace entrofs::view
