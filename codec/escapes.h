#pragma once

#include <vector>

#include "base/buffer.h"
#include "codec/table.h"

// The escape stream: classes too rare for a place in the class code, in a prefix code of their own. Its symbols are cut
// into four runs, each coded in its own bit string, so that a decoder has four independent chains.
namespace entrofs::codec {

inline constexpr unsigned kEscapeRuns = 4;

// `classes` are class numbers, in output order, all with a code.
struct EncodedEscapes {
  std::vector<uint8_t> bits;                // the bit strings one after another
  std::array<uint32_t, kEscapeRuns> bytes;  // of each
};
EncodedEscapes EncodeEscapes(const EncodeTable& table, ByteSpan classes);

// What a stream's header says about its escapes: their number and, unless it is zero, the bytes of all bit strings but
// the last.
struct EscapeHeader {
  uint32_t count = 0;
  std::array<uint32_t, kEscapeRuns> bytes = {};
};
void PutEscapeHeader(uint32_t count, const EncodedEscapes& encoded, std::vector<uint8_t>& out);
EscapeHeader ReadEscapeHeader(ByteReader& reader, bool& ok);

// True when each string was taken to the last of its bytes.
bool AtEnds(const PrefixCursor& cursor);

// Fills held[0, header.count) from the bit strings that fill `bits`, the last taking what the others leave. False
// unless each is used up exactly. After `bits` kReadSlackBytes are readable.
bool DecodeEscapes(const DecodeTable& table, ByteSpan bits, const EscapeHeader& header, uint8_t* held);

}  // namespace entrofs::codec
