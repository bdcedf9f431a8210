#pragma once

#include "codec/codec.h"

// Plain bytes <-> planes for every layout. A unit is an element, or a block.
namespace entrofs::codec {

// True for the layout that leaves bytes as they are: one plane, which nothing needs to be split into.
bool IsPlainBytes(const Layout& layout);

// How many bytes of each unit go to a plane.
size_t PlaneBytesPerUnit(const Layout& layout, size_t plane);

// Fills planes[p], of count x PlaneBytesPerUnit bytes, from `count` units at `plain`. No overlap. Requires: a valid
// layout. Differences and trellises begin anew.
void SplitUnits(const Layout& layout, const uint8_t* plain, size_t count, uint8_t* const* planes);
// The inverse, for a part of a segment: fills `count` units at `plain`, before which there are `before` units already.
// A trellis is merged whole, with before = 0; its plane may be `plain`.
void MergeUnits(const Layout& layout, const uint8_t* const* planes, size_t before, size_t count, uint8_t* plain);

// What SplitUnits makes of a layout with `delta` before it cuts planes: out[i] = element i less the one before.
void TakeDifferences(const Layout& layout, const uint8_t* plain, size_t count, uint8_t* out);

}  // namespace entrofs::codec
