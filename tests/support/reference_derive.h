#pragma once

#include <array>

#include "archive/views.h"
#include "tests/support/sample_archive.h"

// What derived extents hold, computed number by number from docs/archive-format.md, without view/.
namespace entrofs::testing_support {

// The inputs of a derived extent: all bytes of each.
struct DeriveInputs {
  Bytes input, codes, scales, zeros, column_scales;
};

// All bytes of the derived extent; its size is not looked at.
Bytes ReferenceDerive(const archive::DerivedExtent& derived, const DeriveInputs& inputs);

// The number nearest to `value`, ties to even, as bits.
uint32_t ReferenceRound(archive::FloatType type, long double value);
long double ReferenceFloat(archive::FloatType type, uint32_t bits);

}  // namespace entrofs::testing_support
