#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"

// Bit strings in bytes, least significant bit first, and variable-length integers.
namespace entrofs::codec {

// Appends bit fields; call Flush once at the end.
class BitWriter {
 public:
  explicit BitWriter(std::vector<uint8_t>& out) : out_(out) {}

  // Requires: count <= 32, value < 2^count.
  void Put(uint32_t value, unsigned count) {
    pending_ |= static_cast<uint64_t>(value) << pending_bits_;
    pending_bits_ += count;
    while (pending_bits_ >= 8) {
      out_.push_back(static_cast<uint8_t>(pending_));
      pending_ >>= 8;
      pending_bits_ -= 8;
    }
  }

  // Pads with zero bits to a whole byte.
  void Flush() {
    if (pending_bits_ > 0) out_.push_back(static_cast<uint8_t>(pending_));
    pending_ = 0;
    pending_bits_ = 0;
  }

 private:
  std::vector<uint8_t>& out_;
  uint64_t pending_ = 0;
  unsigned pending_bits_ = 0;
};

// Reads bit fields; zeros past the end.
class BitReader {
 public:
  explicit BitReader(ByteSpan bytes) : bytes_(bytes) {}

  // Requires: count <= 32.
  uint32_t Get(unsigned count) {
    uint32_t value = 0;
    for (unsigned i = 0; i < count; ++i, ++position_) {
      size_t byte = position_ / 8;
      uint32_t bit = byte < bytes_.size() ? (bytes_[byte] >> (position_ % 8)) & 1 : 0;
      value |= bit << i;
    }
    return value;
  }

 private:
  ByteSpan bytes_;
  size_t position_ = 0;
};

inline constexpr size_t BytesForBits(size_t bits) { return (bits + 7) / 8; }

// Seven bits per byte, lowest first; the top bit of a byte says that another follows.
void PutVarint(uint32_t value, std::vector<uint8_t>& out);
// Zero, and reader not ok, when the bytes end or the value needs more than 32 bits or more bytes than necessary.
uint32_t ReadVarint(ByteReader& reader, bool& ok);

}  // namespace entrofs::codec
