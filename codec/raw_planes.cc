#include "codec/raw_planes.h"

#include <cstring>

#include "codec/bits.h"

namespace entrofs::codec {
namespace {

constexpr size_t kNibblePlaneBytes = kRoundBytes / 2;
constexpr size_t kCrumbPlaneBytes = kRoundBytes / 4;
constexpr size_t kBitPlaneBytes = kRoundBytes / 8;

// Packs one whole round and returns the end of what was written. `plain` is advanced through rank_of.
uint8_t* EncodeRound(const uint8_t* rank_of, unsigned raw_bits, const uint8_t* plain, uint8_t* out) {
  unsigned shift = 0;
  if (raw_bits & 4) {
    // Byte i of the first half: outputs i and 64 + i; of the second: 128 + i and 192 + i.
    for (size_t i = 0; i < kNibblePlaneBytes; ++i) {
      const uint8_t* low = plain + (i / 64) * 128 + i % 64;
      out[i] = static_cast<uint8_t>((rank_of[low[0]] & 15) | rank_of[low[64]] << 4);
    }
    out += kNibblePlaneBytes;
    shift = 4;
  }
  if (raw_bits & 2) {
    for (size_t i = 0; i < kCrumbPlaneBytes; ++i) {
      unsigned byte = 0;
      for (unsigned group = 0; group < 4; ++group) {
        byte |= (rank_of[plain[64 * group + i]] >> shift & 3u) << (2 * group);
      }
      out[i] = static_cast<uint8_t>(byte);
    }
    out += kCrumbPlaneBytes;
    shift += 2;
  }
  if (raw_bits & 1) {
    for (size_t i = 0; i < kBitPlaneBytes; ++i) {
      unsigned byte = 0;
      for (unsigned group = 0; group < 8; ++group) byte |= (rank_of[plain[32 * group + i]] >> shift & 1u) << group;
      out[i] = static_cast<uint8_t>(byte);
    }
    out += kBitPlaneBytes;
  }
  return out;
}

}  // namespace

size_t RawBytes(unsigned raw_bits, size_t outputs) {
  return outputs / kRoundBytes * (kRoundBytes / 8) * raw_bits + BytesForBits(outputs % kRoundBytes * raw_bits);
}

void EncodeRawPlanes(const uint8_t* rank_of, unsigned raw_bits, ByteSpan plain, uint8_t* out) {
  size_t at = 0;
  for (; at + kRoundBytes <= plain.size(); at += kRoundBytes) {
    out = EncodeRound(rank_of, raw_bits, plain.data() + at, out);
  }
  uint64_t pending = 0;
  unsigned pending_bits = 0;
  for (; at < plain.size(); ++at) {
    pending |= static_cast<uint64_t>(rank_of[plain[at]] & ((1u << raw_bits) - 1)) << pending_bits;
    pending_bits += raw_bits;
    for (; pending_bits >= 8; pending_bits -= 8, pending >>= 8) *out++ = static_cast<uint8_t>(pending);
  }
  if (pending_bits > 0) *out = static_cast<uint8_t>(pending);
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
