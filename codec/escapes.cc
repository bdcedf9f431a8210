#include "codec/escapes.h"

#include <algorithm>

#include "codec/bits.h"

namespace entrofs::codec {
namespace {

constexpr size_t RunLength(size_t count) { return (count + kEscapeRuns - 1) / kEscapeRuns; }

}  // namespace

EncodedEscapes EncodeEscapes(const EncodeTable& table, ByteSpan classes) {
  EncodedEscapes encoded = {};
  encoded.bits.resize(BytesForBits(classes.size() * kMaxEscapeBits) + kEscapeRuns + CodeWriter::kSlackBytes);
  const size_t length = RunLength(classes.size());
  size_t at = 0;
  for (unsigned run = 0; run < kEscapeRuns; ++run) {
    const size_t begin = std::min(classes.size(), run * length);
    CodeWriter writer(encoded.bits.data() + at);
    writer.Write<kMaxEscapeBits>(table.escape_codes, classes.subspan(begin, std::min(length, classes.size() - begin)));
    encoded.bytes[run] = static_cast<uint32_t>(writer.Finish());
    at += encoded.bytes[run];
  }
  encoded.bits.resize(at);
  return encoded;
}

void PutEscapeHeader(uint32_t count, const EncodedEscapes& encoded, std::vector<uint8_t>& out) {
  PutVarint(count, out);
  if (count == 0) return;
  for (unsigned run = 0; run + 1 < kEscapeRuns; ++run) PutVarint(encoded.bytes[run], out);
}

EscapeHeader ReadEscapeHeader(ByteReader& reader, bool& ok) {
  EscapeHeader header;
  header.count = ReadVarint(reader, ok);
  if (header.count == 0) return header;
  for (unsigned run = 0; run + 1 < kEscapeRuns; ++run) header.bytes[run] = ReadVarint(reader, ok);
  return header;
}

bool AtEnds(const PrefixCursor& cursor) {
  for (unsigned run = 0; run < kEscapeRuns; ++run) {
    if (cursor.at[run] + (cursor.used[run] + 7) / 8 != cursor.end[run]) return false;
  }
  return true;
}

bool DecodeEscapes(const DecodeTable& table, ByteSpan bits, const EscapeHeader& header, uint8_t* held) {
  if (!table.escapes) return bits.empty();
  const size_t length = RunLength(header.count);
  PrefixCursor cursor = {};
  size_t counts[kEscapeRuns];
  ByteSpan rest = bits;
  for (unsigned run = 0; run < kEscapeRuns; ++run) {
    const size_t size = run + 1 < kEscapeRuns ? header.bytes[run] : rest.size();
    if (size > rest.size()) return false;
    cursor.at[run] = rest.data();
    cursor.end[run] = rest.data() + size;
    rest = rest.subspan(size);
    counts[run] = std::min(length, header.count - std::min<size_t>(header.count, run * length));
  }
  if (!Active().decode_escapes(*table.escapes, counts, length, cursor, held)) return false;
  return AtEnds(cursor);
}

}  // namespace entrofs::codec
