#include <algorithm>
#include <cstring>

#include "codec/bits.h"
#include "codec/escapes.h"
#include "codec/raw_planes.h"
#include "codec/scratch.h"
#include "codec/tans.h"

namespace entrofs::codec {
namespace {

constexpr size_t kSymbolsPerRound = kRoundBytes / kLanes;
constexpr unsigned kStateBits = 6;

// A tans stream taken apart, every length checked.
struct TansStream {
  size_t tail_rounds = 0;
  EscapeHeader escapes;
  ByteSpan states;
  ByteSpan main;
  ByteSpan raw;
  ByteSpan escape_bits;
};

bool ParseStream(const DecodeTable& table, ByteSpan bytes, size_t outputs, TansStream& stream) {
  ByteReader reader(bytes);
  bool ok = true;
  stream.tail_rounds = reader.ReadU8();
  const size_t main_bytes = ReadVarint(reader, ok);
  if (table.tans.finish.has_escapes) stream.escapes = ReadEscapeHeader(reader, ok);
  const size_t used_lanes = std::min<size_t>(kLanes, (outputs + kSymbolsPerRound - 1) / kSymbolsPerRound);
  stream.states = reader.ReadBytes(BytesForBits(used_lanes * kStateBits));
  stream.main = reader.ReadBytes(main_bytes);
  stream.raw = reader.ReadBytes(RawBytes(table.tans.finish.raw_bits, outputs));
  if (!ok || !reader.ok()) return false;
  stream.escape_bits = reader.ReadBytes(reader.remaining());
  return stream.escapes.count <= outputs;
}

void UnpackStates(ByteSpan packed, TansLanes& lanes) {
  BitReader bits(packed);
  for (size_t lane = 0; lane < kLanes; ++lane) {
    lanes.window[lane] = 0;
    lanes.consumed[lane] = 32;
    lanes.state[lane] = static_cast<uint8_t>(bits.Get(kStateBits));
  }
}

// Decodes the last rounds into held bytes: each lane takes a byte only when it needs one, and none after its last
// output. `outputs`: those of the tail, lane 0 first.
bool DecodeTail(const TansTables& tables, size_t outputs, TansLanes& lanes, StreamCursor& cursor, uint8_t* held) {
  unsigned available[kLanes];
  size_t remaining[kLanes];  // outputs of each lane
  const size_t rest = outputs % kRoundBytes;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    available[lane] = 32u - lanes.consumed[lane];
    const size_t last = lane * kSymbolsPerRound < rest ? std::min(rest - lane * kSymbolsPerRound, kSymbolsPerRound) : 0;
    remaining[lane] = outputs / kRoundBytes * kSymbolsPerRound + last;
  }
  for (size_t round = 0; round * kRoundBytes < outputs; ++round) {
    for (size_t step = 0; step < kSymbolsPerRound; ++step) {
      for (size_t lane = 0; lane < kLanes; ++lane) {
        const size_t at = round * kRoundBytes + lane * kSymbolsPerRound + step;
        if (at >= outputs) break;
        const unsigned state = lanes.state[lane];
        held[at] = tables.held[state];
        if (--remaining[lane] == 0) continue;
        const unsigned count = tables.bit_count[state];
        if (available[lane] < count) {
          if (cursor.main == cursor.main_end) return false;
          lanes.window[lane] |= static_cast<uint32_t>(*cursor.main++) << (24 - available[lane]);
          available[lane] += 8;
        }
        const uint64_t shifted = static_cast<uint64_t>(lanes.window[lane]) << count;
        lanes.state[lane] = static_cast<uint8_t>(tables.next_base[state] + (shifted >> 32));
        lanes.window[lane] = static_cast<uint32_t>(shifted);
        available[lane] -= count;
      }
    }
  }
  return true;
}

}  // namespace

bool DecodeTans(const DecodeTable& table, ByteSpan bytes, Scratch::Impl& scratch, MutableByteSpan plain) {
  const FinishTables& finish = table.tans.finish;
  TansStream stream;
  if (!ParseStream(table, bytes, plain.size(), stream)) return false;
  const size_t full_rounds = plain.size() / kRoundBytes;
  const size_t rounds = (plain.size() + kRoundBytes - 1) / kRoundBytes;
  if (stream.tail_rounds > rounds || rounds - stream.tail_rounds > full_rounds) return false;
  const size_t bulk_rounds = rounds - stream.tail_rounds;

  scratch.escapes.Reserve(stream.escapes.count + kKernelSlackBytes);
  if (!DecodeEscapes(table, stream.escape_bits, stream.escapes, scratch.escapes.data())) return false;
  StreamCursor cursor = {
      .main = stream.main.data(),
      .main_end = stream.main.data() + stream.main.size(),
      .raw = stream.raw.data(),
      .escapes = scratch.escapes.data(),
      .escapes_end = scratch.escapes.data() + stream.escapes.count,
  };
  TansLanes lanes;
  UnpackStates(stream.states, lanes);
  if (!Active().decode_tans(table.tans, bulk_rounds, lanes, cursor, plain.data())) return false;

  MutableByteSpan tail = plain.subspan(bulk_rounds * kRoundBytes);
  scratch.symbols.Reserve(tail.size() + kKernelSlackBytes);
  uint8_t* held = scratch.symbols.data();
  if (!DecodeTail(table.tans, tail.size(), lanes, cursor, held)) return false;
  const size_t tail_full = full_rounds - bulk_rounds;
  const size_t partial_at = tail_full * kRoundBytes;
  if (!Active().finish_rounds(finish, tail_full, held, cursor, tail.data())) return false;
  if (!FinishPartialRound(finish, tail.size() - partial_at, held + partial_at, cursor, tail.data() + partial_at)) {
    return false;
  }
  return cursor.main == cursor.main_end && cursor.escapes == cursor.escapes_end;
}

}  // namespace entrofs::codec
