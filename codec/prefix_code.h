#pragma once

#include <cstdint>
#include <span>
#include <vector>

// Canonical prefix codes of limited length. Code words are written and read least significant bit first.
//
// A code is given by its lengths: 0 for a symbol that does not occur. A code of one symbol has length 1 and takes no
// bits (CodeBits).
namespace entrofs::codec {

// Lengths, at most `max_bits`, that minimize the sum of weight * length; 0 for weight 0. Deterministic.
// Requires: at most 2^max_bits symbols have weight, and the weights' sum * max_bits fits in 64 bits.
std::vector<uint8_t> LimitedLengths(std::span<const uint64_t> weights, unsigned max_bits);

// True when the lengths (none above max_bits) use up the code space exactly, or belong to a single symbol of length 1.
bool IsCompleteCode(std::span<const uint8_t> lengths, unsigned max_bits);

// One code word per symbol, the first bit in bit 0. Requires: IsCompleteCode.
std::vector<uint16_t> CodeWords(std::span<const uint8_t> lengths);

// The bits each symbol takes: its length, or 0 when it is alone.
std::vector<uint8_t> CodeBits(std::span<const uint8_t> lengths);

}  // namespace entrofs::codec
