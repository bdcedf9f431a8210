#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace entrofs::codec {

// Code words by symbol: the word in the low 16 bits, its length above.
using CodeTable = std::array<uint32_t, 256>;
inline constexpr uint32_t MakeCode(uint32_t word, uint32_t bits) { return word | bits << 16; }

// Writes code words into memory, least significant bit first.
class CodeWriter {
 public:
  // At most this many bytes past the last whole byte of code words are overwritten.
  static constexpr size_t kSlackBytes = 8;

  explicit CodeWriter(uint8_t* out) : begin_(out), out_(out) {}

  // Appends the words of `symbols`. kMaxBits: no code word is longer.
  template <unsigned kMaxBits>
  void Write(const CodeTable& codes, ByteSpan symbols) {
    constexpr size_t kPerFlush = (64 - 7) / kMaxBits;
    size_t i = 0;
    for (; i + kPerFlush <= symbols.size(); i += kPerFlush) {
      for (size_t j = 0; j < kPerFlush; ++j) Append(codes[symbols[i + j]]);
      Flush();
    }
    for (; i < symbols.size(); ++i) {
      Append(codes[symbols[i]]);
      Flush();
    }
  }

  // Pads with zero bits to a whole byte and returns the number of bytes written.
  size_t Finish() {
    out_ += pending_bits_ > 0;
    return static_cast<size_t>(out_ - begin_);
  }

 private:
  void Append(uint32_t code) {
    pending_ |= static_cast<uint64_t>(code & 0xffff) << pending_bits_;
    pending_bits_ += code >> 16;
  }

  // Leaves fewer than 8 bits pending; those are in memory too.
  void Flush() {
    StoreLe(out_, pending_);
    out_ += pending_bits_ >> 3;
    pending_ >>= pending_bits_ & ~7u;
    pending_bits_ &= 7;
  }

  uint8_t* begin_;
  uint8_t* out_;
  uint64_t pending_ = 0;
  unsigned pending_bits_ = 0;
};

}  // namespace entrofs::codec
