#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "archive/views.h"
#include "base/bytes.h"
#include "base/result.h"

// Derived extents: bytes that are a pure function of stored extents' bytes, any range of them at a cost that depends on
// its length alone. Specified in docs/archive-format.md, "Derived extents". Everything here is thread-safe and without
// I/O; the same inputs give the same bytes with every kernel and on every CPU.
namespace entrofs::view {

// Bytes of a stored extent. `extent` is its number, or whatever the derived extent has in that number's place.
struct InputRange {
  uint32_t extent = archive::kNoExtent;
  uint64_t offset_bytes = 0;
  uint64_t length_bytes = 0;
};

// The input that most of the bytes come from is first: the codes of a matrix, or the only one there is. At most four;
// none for literals. Requires: `derived` was checked (by archive::DecodeIndex or ArchiveWriter::AddDerived), and
// [offset, offset + length) is a range of it that is not empty.
std::vector<InputRange> InputsOf(const archive::DerivedExtent& derived, uint64_t offset_bytes, uint64_t length_bytes);

// Fills `out` with the bytes at `offset` of the derived extent. inputs[i] are the bytes of
// InputsOf(derived, offset, out.size())[i].
void Derive(const archive::DerivedExtent& derived, uint64_t offset_bytes, std::span<const ByteSpan> inputs,
            MutableByteSpan out);

// How many of the bytes [offset, offset + length) to derive at once, so that the inputs are of no more than some MiB:
// less than `length` where rows are very long, or it is.
uint64_t PieceBytes(const archive::DerivedExtent& derived, uint64_t offset_bytes, uint64_t length_bytes);

// The same for whoever has the inputs in another place than an archive (a packer that computes the hash of a view):
// calls read(extent, offset, out) for them, with extents as in InputRange. Memory stays bounded whatever out.size() is.
// The first error of `read`; kInvalidArgument for a range that is not inside the extent.
using ReadInput = std::function<Status(uint32_t extent, uint64_t offset_bytes, MutableByteSpan out)>;
Status DeriveFrom(const archive::DerivedExtent& derived, uint64_t offset_bytes, const ReadInput& read,
                  MutableByteSpan out);

// How many bytes a derived extent gives for `input_bytes` of its first input, if that is the same everywhere: then
// ranges of that size, from 0 on, need one range of that input each. 0 otherwise, and for literals.
uint64_t OutputBytesFor(const archive::DerivedExtent& derived, uint64_t input_bytes);

}  // namespace entrofs::view
