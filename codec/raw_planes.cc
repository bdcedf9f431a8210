#include "codec/raw_planes.h"

#include <cstring>

#include "codec/bits.h"

namespace entrofs::codec {

size_t RawBytes(unsigned raw_bits, size_t outputs) {
  return outputs / kRoundBytes * (kRoundBytes / 8) * raw_bits + BytesForBits(outputs % kRoundBytes * raw_bits);
}

bool ClassifyPartialRound(const ClassifyTables& tables, ByteSpan plain, uint8_t* symbols, uint8_t** escapes,
                          uint8_t* raw) {
  uint64_t pending = 0;
  unsigned pending_bits = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    symbols[i] = tables.symbol_of_value[plain[i]];
    if (symbols[i] == kNoSymbol) return false;
    const uint8_t rank = tables.rank_of_value[plain[i]];
    if (symbols[i] == tables.escape_symbol) *(*escapes)++ = static_cast<uint8_t>(rank >> tables.raw_bits);
    pending |= static_cast<uint64_t>(rank & ((1u << tables.raw_bits) - 1)) << pending_bits;
    pending_bits += tables.raw_bits;
    for (; pending_bits >= 8; pending_bits -= 8, pending >>= 8) *raw++ = static_cast<uint8_t>(pending);
  }
  if (pending_bits > 0) *raw = static_cast<uint8_t>(pending);
  return true;
}

bool FinishPartialRound(const FinishTables& tables, size_t count, const uint8_t* held, StreamCursor& cursor,
                        uint8_t* plain) {
  const unsigned raw_bits = tables.raw_bits;
  BitReader raw(ByteSpan(cursor.raw, BytesForBits(count * raw_bits)));
  for (size_t i = 0; i < count; ++i) {
    uint8_t byte = held[i];
    if (tables.has_escapes && byte == tables.escape_marker) {
      if (cursor.escapes == cursor.escapes_end) return false;
      byte = *cursor.escapes++;
    }
    plain[i] = raw_bits > 0 ? tables.value_of_rank[byte | raw.Get(raw_bits)] : byte;
  }
  cursor.raw += BytesForBits(count * raw_bits);
  return true;
}

}  // namespace entrofs::codec
