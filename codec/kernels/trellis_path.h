#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// The bits b[t] of the trellis transform (docs/codec-format.md, "Segment"), 64 at a time. They depend linearly on the
// bits c[t], with arithmetic modulo 2 on polynomials in the delay D:
//
//   (1 + D + D^6) b = (D^2 + D^4) c
//
// In an anonymous namespace, because each kernel file needs a copy for its own CPU.
namespace entrofs::codec {
namespace {

// x / (1 + D + D^6), coefficient t in bit t: a product with 1 + D + D^6 raised to 1, 2, 4 .. 32, which together are its
// inverse up to D^63.
constexpr uint64_t DivideByPath(uint64_t x) {
  for (unsigned power = 1; power < 64; power *= 2) x ^= x << power ^ (6 * power < 64 ? x << (6 * power) : 0);
  return x;
}

// What 64 bits b and c add to the right side of the 64 that follow: 6 bits, in the lowest places.
constexpr unsigned PathCarry(uint64_t b, uint64_t c) {
  return static_cast<unsigned>(b >> 63 ^ b >> 58 ^ c >> 62 ^ c >> 60);
}

// What a carry alone makes of the next 64 bits b, of the carry after them, and of that after 64 more.
struct PathTables {
  uint64_t b[64];
  uint8_t carry[64];
  uint8_t carry_after_two[64];
};
constexpr PathTables MakePathTables() {
  PathTables tables = {};
  for (unsigned carry = 0; carry < 64; ++carry) {
    tables.b[carry] = DivideByPath(carry);
    tables.carry[carry] = static_cast<uint8_t>(PathCarry(tables.b[carry], 0));
  }
  for (unsigned carry = 0; carry < 64; ++carry) tables.carry_after_two[carry] = tables.carry[tables.carry[carry]];
  return tables;
}
constexpr PathTables kPathTables = MakePathTables();

// Walks along the path; starts before the first byte of a segment.
class TrellisPath {
 public:
  // The next 64 bits b, bit t being b[t], of the next 64 bits c. `divide` is DivideByPath or as good.
  template <typename Divide>
  uint64_t Next(uint64_t c, const Divide& divide) {
    // Only a look-up of the carry waits for the 64 bits before.
    const uint64_t without_carry = divide(c << 2 ^ c << 4);
    const uint64_t b = without_carry ^ kPathTables.b[carry_];
    carry_ = PathCarry(without_carry, c) ^ kPathTables.carry[carry_];
    return b;
  }
  uint64_t Next(uint64_t c) { return Next(c, DivideByPath); }

  // Twice the same: b[i] of c[i]. The next call waits for one look-up, too.
  template <typename Divide>
  void NextTwo(const uint64_t (&c)[2], const Divide& divide, uint64_t (&b)[2]) {
    for (unsigned i = 0; i < 2; ++i) b[i] = divide(c[i] << 2 ^ c[i] << 4);
    const unsigned first = PathCarry(b[0], c[0]);
    const unsigned both = PathCarry(b[1], c[1]) ^ kPathTables.carry[first];
    b[0] ^= kPathTables.b[carry_];
    b[1] ^= kPathTables.b[kPathTables.carry[carry_] ^ first];
    carry_ = kPathTables.carry_after_two[carry_] ^ both;
  }

 private:
  unsigned carry_ = 0;
};

// Bit 0 of each of eight bytes, the first in bit 0.
constexpr uint64_t LowBitsOfBytes(uint64_t bytes) { return (bytes & 0x0101010101010101) * 0x0102040810204080 >> 56; }
// The inverse: bytes of 0 or 1. Requires: bits < 256.
constexpr uint64_t BytesOfBits(uint64_t bits) {
  const uint64_t one_bit_each = bits * 0x0101010101010101 & 0x8040201008040201;
  return (one_bit_each + 0x7f7f7f7f7f7f7f7f) >> 7 & 0x0101010101010101;
}

// The rest of a segment, from where `path` is: values from indices, byte by byte or eight at a time. In place if so
// wished.
inline void MergeTrellisWith(TrellisPath path, const uint8_t* indices, size_t count, uint8_t* values) {
  uint64_t words[8];
  for (size_t first = 0; first < count; first += sizeof words) {
    const size_t size = count - first < sizeof words ? count - first : sizeof words;
    if (size < sizeof words) memset(words, 0, sizeof words);
    memcpy(words, indices + first, size);
    uint64_t c = 0;
    for (unsigned i = 0; i < 8; ++i) c |= LowBitsOfBytes(words[i]) << (8 * i);
    const uint64_t b = path.Next(c);
    for (unsigned i = 0; i < 8; ++i) {
      const uint64_t rotated = (words[i] << 1 & 0xfefefefefefefefe) | (words[i] >> 7 & 0x0101010101010101);
      words[i] = rotated ^ BytesOfBits(b >> (8 * i) & 0xff);
    }
    memcpy(values + first, words, size);
  }
}

// The inverse, which is not in a hurry.
inline void SplitTrellisWith(TrellisPath path, const uint8_t* values, size_t count, uint8_t* indices) {
  uint64_t words[8];
  for (size_t first = 0; first < count; first += sizeof words) {
    const size_t size = count - first < sizeof words ? count - first : sizeof words;
    if (size < sizeof words) memset(words, 0, sizeof words);
    memcpy(words, values + first, size);
    uint64_t c = 0;
    for (unsigned i = 0; i < 8; ++i) c |= LowBitsOfBytes(words[i] >> 1) << (8 * i);
    const uint64_t b = path.Next(c);
    for (unsigned i = 0; i < 8; ++i) {
      const uint64_t even = words[i] ^ BytesOfBits(b >> (8 * i) & 0xff);
      words[i] = (even >> 1 & 0x7f7f7f7f7f7f7f7f) | (even << 7 & 0x8080808080808080);
    }
    memcpy(indices + first, words, size);
  }
}

}  // namespace
}  // namespace entrofs::codec
