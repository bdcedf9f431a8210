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

bool TansReader::Open(const DecodeTable& table, ByteSpan bytes, size_t outputs, PlaneScratch& scratch) {
  TansStream stream;
  if (!ParseStream(table, bytes, outputs, stream)) return false;
  const size_t rounds = (outputs + kRoundBytes - 1) / kRoundBytes;
  if (stream.tail_rounds > rounds || rounds - stream.tail_rounds > outputs / kRoundBytes) return false;
  table_ = &table;
  scratch_ = &scratch;
  bulk_rounds_ = rounds - stream.tail_rounds;
  tail_bytes_ = outputs - bulk_rounds_ * kRoundBytes;
  tail_ = nullptr;

  scratch.escapes.Reserve(stream.escapes.count + kKernelSlackBytes);
  if (!DecodeEscapes(table, stream.escape_bits, stream.escapes, scratch.escapes.data())) return false;
  cursor_ = {
      .main = stream.main.data(),
      .main_end = stream.main.data() + stream.main.size(),
      .raw = stream.raw.data(),
      .escapes = scratch.escapes.data(),
      .escapes_end = scratch.escapes.data() + stream.escapes.count,
      .ahead = nullptr,
  };
  UnpackStates(stream.states, lanes_);
  scratch.kept.Reserve(Active().tans_kept_bytes);
  lanes_.kept = scratch.kept.data();
  return true;
}

bool TansReader::Read(MutableByteSpan plain, Ahead* ahead) {
  cursor_.ahead = ahead;
  const size_t rounds = std::min(bulk_rounds_, plain.size() / kRoundBytes);
  if (!Active().decode_tans(table_->tans, rounds, lanes_, cursor_, plain.data())) return false;
  bulk_rounds_ -= rounds;
  if (bulk_rounds_ > 0) return true;
  if (tail_ == nullptr && !BeginTail()) return false;
  if (!ReadTail(plain.subspan(rounds * kRoundBytes))) return false;
  return tail_bytes_ > 0 || (cursor_.main == cursor_.main_end && cursor_.escapes == cursor_.escapes_end);
}

bool TansReader::BeginTail() {
  scratch_->held.Reserve(tail_bytes_ + kKernelSlackBytes);
  tail_ = scratch_->held.data();
  return DecodeTail(table_->tans, tail_bytes_, lanes_, cursor_, tail_);
}

bool TansReader::ReadTail(MutableByteSpan plain) {
  const FinishTables& finish = table_->tans.finish;
  const size_t whole = plain.size() / kRoundBytes * kRoundBytes;
  if (!Active().finish_rounds(finish, whole / kRoundBytes, tail_, cursor_, plain.data())) return false;
  if (!FinishPartialRound(finish, plain.size() - whole, tail_ + whole, cursor_, plain.data() + whole)) return false;
  tail_ += plain.size();
  tail_bytes_ -= plain.size();
  return true;
}

}  // namespace entrofs::codec
