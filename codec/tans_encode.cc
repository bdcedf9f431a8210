#include <algorithm>
#include <cstring>

#include "codec/bits.h"
#include "codec/escapes.h"
#include "codec/raw_planes.h"
#include "codec/scratch.h"
#include "codec/tans.h"

namespace entrofs::codec {
namespace {

// The decoder finishes this many rounds byte by byte at most; see ChooseTailRounds.
constexpr size_t kMaxTailRounds = 16;
constexpr size_t kSymbolsPerRound = kRoundBytes / kLanes;

constexpr size_t RoundsFor(size_t outputs) { return (outputs + kRoundBytes - 1) / kRoundBytes; }

// The bits one lane writes in one round, the first to be read topmost, and their number above bit 24.
constexpr unsigned kCountShift = 24;
constexpr uint32_t kBitsMask = (1u << kCountShift) - 1;

// Everything about a stream before its bits are interleaved.
struct LaneBits {
  size_t rounds;
  uint32_t* steps;                                         // [round][lane]
  std::array<uint8_t, kLanes> first_state = {};            // where the decoder starts
  uint8_t tail_counts[kMaxTailRounds * kRoundBytes] = {};  // bits read after each of the last outputs
};

// Runs the state machine backwards over all outputs. symbols: one per output.
void EncodeStates(const EncodeTable& table, const uint8_t* symbols, size_t outputs, LaneBits& lanes) {
  uint8_t state[kLanes];
  bool started[kLanes] = {};
  const size_t tail_start = lanes.rounds > kMaxTailRounds ? (lanes.rounds - kMaxTailRounds) * kRoundBytes : 0;
  for (size_t round = lanes.rounds; round-- > 0;) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      uint32_t bits = 0;
      unsigned count = 0;
      for (size_t step = kSymbolsPerRound; step-- > 0;) {
        const size_t at = round * kRoundBytes + lane * kSymbolsPerRound + step;
        if (at >= outputs) continue;
        const uint8_t symbol = symbols[at];
        if (!started[lane]) {  // the lane's last output: any state that means it will do, and nothing is read after it
          started[lane] = true;
          state[lane] = table.last_state[symbol];
          continue;
        }
        const uint16_t entry = table.transition[symbol][state[lane]];
        const unsigned read = entry >> 8;
        bits |= (state[lane] & ((1u << read) - 1)) << count;
        count += read;
        state[lane] = static_cast<uint8_t>(entry);
        if (at >= tail_start) lanes.tail_counts[at - tail_start] = static_cast<uint8_t>(read);
      }
      lanes.steps[round * kLanes + lane] = bits | count << kCountShift;
    }
  }
  for (size_t lane = 0; lane < kLanes; ++lane) lanes.first_state[lane] = started[lane] ? state[lane] : 0;
}

// Each lane's bits as a byte string, the first bit topmost, zeros after it.
struct LaneStrings {
  uint8_t* bytes;
  size_t stride;
};

void WriteLaneStrings(const LaneBits& lanes, LaneStrings strings) {
  for (size_t lane = 0; lane < kLanes; ++lane) {
    uint8_t* out = strings.bytes + lane * strings.stride;
    uint64_t pending = 0;
    unsigned pending_bits = 0;
    for (size_t round = 0; round < lanes.rounds; ++round) {
      const uint32_t step = lanes.steps[round * kLanes + lane];
      pending = pending << (step >> kCountShift) | (step & kBitsMask);
      pending_bits += step >> kCountShift;
      for (; pending_bits >= 8; pending_bits -= 8) *out++ = static_cast<uint8_t>(pending >> (pending_bits - 8));
    }
    if (pending_bits > 0) *out++ = static_cast<uint8_t>(pending << (8 - pending_bits));
    std::memset(out, 0, 8);
  }
}

// Deals the lanes' bytes out in the order in which the decoder takes them. Returns the end of what was written.
uint8_t* Interleave(const LaneBits& lanes, LaneStrings strings, size_t tail_rounds, size_t outputs, uint8_t* out) {
  const uint8_t* next[kLanes];
  unsigned consumed[kLanes];
  for (size_t lane = 0; lane < kLanes; ++lane) {
    next[lane] = strings.bytes + lane * strings.stride;
    consumed[lane] = 32;
  }
  const size_t bulk = lanes.rounds - tail_rounds;
  for (size_t round = 0; round < bulk; ++round) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const unsigned take = consumed[lane] >> 3;
      for (unsigned i = take; i-- > 0;) *out++ = next[lane][i];
      next[lane] += take;
      consumed[lane] = (consumed[lane] & 7) + (lanes.steps[round * kLanes + lane] >> kCountShift);
    }
  }
  const size_t counts_start = lanes.rounds > kMaxTailRounds ? (lanes.rounds - kMaxTailRounds) * kRoundBytes : 0;
  unsigned available[kLanes];
  for (size_t lane = 0; lane < kLanes; ++lane) available[lane] = 32 - consumed[lane];
  for (size_t round = bulk; round < lanes.rounds; ++round) {
    for (size_t step = 0; step < kSymbolsPerRound; ++step) {
      for (size_t lane = 0; lane < kLanes; ++lane) {
        const size_t at = round * kRoundBytes + lane * kSymbolsPerRound + step;
        if (at >= outputs) break;
        const unsigned count = lanes.tail_counts[at - counts_start];
        if (available[lane] < count) {
          *out++ = *next[lane]++;
          available[lane] += 8;
        }
        available[lane] -= count;
      }
    }
  }
  return out;
}

// Bytes still in the lanes' windows at the end are wasted: at least 25 bits are loaded before each round but the
// tail's, which loads on demand. So the tail should be about as long as the windows last.
size_t ChooseTailRounds(const LaneBits& lanes, size_t outputs) {
  uint64_t bits = 0;
  for (size_t i = 0; i < lanes.rounds * kLanes; ++i) bits += lanes.steps[i] >> kCountShift;
  constexpr uint64_t kWindowBits = 22;
  uint64_t wanted = bits == 0 ? kMaxTailRounds : (kWindowBits * kLanes * lanes.rounds + bits / 2) / bits;
  // Lanes that have no output in a last, shorter round end in the one before.
  const uint64_t least = outputs % kRoundBytes == 0 ? 1 : 2;
  return std::min<uint64_t>(std::clamp<uint64_t>(wanted, least, kMaxTailRounds), lanes.rounds);
}

void PackStates(const std::array<uint8_t, kLanes>& states, size_t used_lanes, std::vector<uint8_t>& out) {
  BitWriter bits(out);
  for (size_t lane = 0; lane < used_lanes; ++lane) bits.Put(states[lane], 6);
  bits.Flush();
}

}  // namespace

bool EncodeTans(const EncodeTable& table, ByteSpan plain, Scratch::Impl& scratch, std::vector<uint8_t>& out) {
  const ClassMap& map = table.model.map;
  const size_t outputs = plain.size();
  scratch.symbols.Reserve(outputs);
  scratch.escapes.Reserve(outputs);
  uint8_t* symbols = scratch.symbols.data();
  const bool has_escapes = table.model.has_escapes();
  size_t escape_count = 0;
  for (size_t i = 0; i < outputs; ++i) {
    const uint8_t symbol = table.class_of[plain[i]];
    if (symbol == kNoClass) return false;
    symbols[i] = symbol;
    if (symbol == map.escape_class()) scratch.escapes.data()[escape_count++] = map.rank_of[plain[i]] >> map.raw_bits;
  }

  LaneBits lanes;
  lanes.rounds = RoundsFor(outputs);
  scratch.steps.Reserve(lanes.rounds * kLanes * sizeof(uint32_t));
  lanes.steps = reinterpret_cast<uint32_t*>(scratch.steps.data());
  EncodeStates(table, symbols, outputs, lanes);
  const size_t tail_rounds = ChooseTailRounds(lanes, outputs);

  LaneStrings strings = {nullptr, lanes.rounds * 3 + 16};
  scratch.lane_strings.Reserve(kLanes * strings.stride);
  strings.bytes = scratch.lane_strings.data();
  WriteLaneStrings(lanes, strings);
  scratch.stream.Reserve(kLanes * strings.stride);
  uint8_t* main = scratch.stream.data();
  const size_t main_bytes = static_cast<size_t>(Interleave(lanes, strings, tail_rounds, outputs, main) - main);

  out.clear();
  out.push_back(static_cast<uint8_t>(tail_rounds));
  PutVarint(static_cast<uint32_t>(main_bytes), out);
  EncodedEscapes escapes;
  if (has_escapes) {
    escapes = EncodeEscapes(table, scratch.escapes.span().first(escape_count));
    PutEscapeHeader(static_cast<uint32_t>(escape_count), escapes, out);
  }
  PackStates(lanes.first_state, std::min<size_t>(kLanes, (outputs + 3) / 4), out);
  out.insert(out.end(), main, main + main_bytes);
  const size_t raw_at = out.size();
  out.resize(raw_at + RawBytes(map.raw_bits, outputs));
  EncodeRawPlanes(map.rank_of.data(), map.raw_bits, plain, out.data() + raw_at);
  out.insert(out.end(), escapes.bits.begin(), escapes.bits.end());
  return true;
}

}  // namespace entrofs::codec
