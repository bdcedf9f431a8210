#include <algorithm>
#include <cstring>

#include "codec/bits.h"
#include "codec/classify.h"
#include "codec/escapes.h"
#include "codec/scratch.h"
#include "codec/tans.h"

namespace entrofs::codec {
namespace {

constexpr size_t kSymbolsPerRound = kRoundBytes / kLanes;
constexpr size_t kMaxTailRounds = 16;
constexpr unsigned kStateBits = 6;
constexpr unsigned kMaxStepBits = 6;

// The last rounds of a stream, which a decoder reads byte by byte as it needs them.
class Tail {
 public:
  // Runs the state machine backwards from each lane's last output, after which nothing is read: any state that means
  // its symbol will do. `symbols`: those of the tail, lane 0 first.
  Tail(const EncodeTable& table, ByteSpan symbols) : outputs_(symbols.size()) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      bool started = false;
      for (size_t i = (outputs_ + kRoundBytes - 1) / kRoundBytes * kSymbolsPerRound; i-- > 0;) {
        const size_t at = IndexOf(lane, i);
        if (at >= outputs_) continue;
        if (!started) {
          states_[lane] = table.last_state[symbols[at]];
          started = true;
          continue;
        }
        const uint32_t entry = table.tans.transition[symbols[at]][states_[lane]];
        count_[at] = static_cast<uint8_t>(entry);
        bits_[at] = static_cast<uint8_t>(entry >> 8);
        states_[lane] = static_cast<uint8_t>(entry >> 16);
      }
      WriteString(lane);
    }
  }

  // By lane, at the start of the tail; zero for lanes without outputs.
  const std::array<uint8_t, kLanes>& states() const { return states_; }

  // The first 32 bits that a lane reads.
  uint32_t Window(size_t lane) const { return static_cast<uint32_t>(Peek(lane, 0) >> 32); }

  // Appends the bytes that the decoder takes when its windows hold `available` bits at the start of the tail.
  void AppendBytes(std::array<unsigned, kLanes> available, std::vector<uint8_t>& out) const {
    std::array<unsigned, kLanes> next = available;  // bit of the lane's string at which its next byte begins
    for (size_t i = 0; IndexOf(0, i) < outputs_; ++i) {
      for (size_t lane = 0; lane < kLanes && IndexOf(lane, i) < outputs_; ++lane) {
        const unsigned count = count_[IndexOf(lane, i)];
        if (available[lane] < count) {
          out.push_back(static_cast<uint8_t>(Peek(lane, next[lane]) >> 56));
          next[lane] += 8;
          available[lane] += 8;
        }
        available[lane] -= count;
      }
    }
  }

 private:
  static constexpr size_t kStringBytes = kMaxTailRounds * kSymbolsPerRound * kMaxStepBits / 8;

  // Output `i` of the lane.
  static size_t IndexOf(size_t lane, size_t i) {
    return i / kSymbolsPerRound * kRoundBytes + lane * kSymbolsPerRound + i % kSymbolsPerRound;
  }

  void WriteString(size_t lane) {
    size_t position = 0;
    for (size_t i = 0; IndexOf(lane, i) < outputs_; ++i) {
      const size_t at = IndexOf(lane, i);
      for (unsigned bit = count_[at]; bit-- > 0; ++position) {
        strings_[lane][position / 8] |= static_cast<uint8_t>((bits_[at] >> bit & 1) << (7 - position % 8));
      }
    }
  }

  // At least 57 bits of the lane's string from bit `position` on, topmost first.
  uint64_t Peek(size_t lane, size_t position) const {
    return __builtin_bswap64(LoadLe<uint64_t>(strings_[lane] + position / 8)) << position % 8;
  }

  size_t outputs_;
  std::array<uint8_t, kLanes> states_ = {};
  uint8_t count_[kMaxTailRounds * kRoundBytes] = {};  // bits read after each output
  uint8_t bits_[kMaxTailRounds * kRoundBytes] = {};
  uint8_t strings_[kLanes][kStringBytes + 16] = {};  // first bit topmost
};

size_t ChooseTailRounds(const EncodeTable& table, size_t outputs) {
  // Lanes that have no output in a last, shorter round end in the one before.
  const size_t least = outputs % kRoundBytes == 0 ? 1 : 2;
  return std::min(std::max(table.tail_rounds, least), (outputs + kRoundBytes - 1) / kRoundBytes);
}

// The bits of bulk rounds before they are interleaved.
struct Bulk {
  size_t rounds = 0;
  const uint32_t* steps = nullptr;
  alignas(64) uint8_t states[kLanes] = {};       // at the start
  alignas(64) uint32_t bit_totals[kLanes] = {};  // by lane
  std::array<unsigned, kLanes> available = {};   // bits in the decoder's windows at the end
  size_t bytes = 0;                              // that the decoder takes
};

void EncodeBulk(const EncodeTable& table, size_t rounds, const uint8_t* symbols, const Tail& tail,
                Scratch::Impl& scratch, Bulk& bulk) {
  bulk.rounds = rounds;
  std::ranges::copy(tail.states(), bulk.states);
  if (rounds == 0) return;
  scratch.steps.Reserve(rounds * kLanes * sizeof(uint32_t));
  uint32_t* steps = reinterpret_cast<uint32_t*>(scratch.steps.data());
  bulk.steps = steps;
  Active().encode_tans(table.tans, symbols, rounds, bulk.states, steps, bulk.bit_totals);
  for (size_t lane = 0; lane < kLanes; ++lane) {
    const uint32_t last = steps[(rounds - 1) * kLanes + lane] >> kStepBits;
    const uint32_t before_last = bulk.bit_totals[lane] - last;
    bulk.available[lane] = 32 - before_last % 8 - last;
    bulk.bytes += sizeof(uint32_t) + before_last / 8;
  }
}

void AppendBulk(Bulk& bulk, const Tail& tail, std::vector<uint8_t>& out) {
  if (bulk.rounds == 0) return;
  alignas(64) uint32_t windows[kLanes];
  for (size_t lane = 0; lane < kLanes; ++lane) windows[lane] = tail.Window(lane);
  out.resize(out.size() + bulk.bytes);
  Active().interleave(bulk.steps, bulk.rounds, windows, bulk.bit_totals, out.data() + out.size());
}

void AppendStates(const uint8_t* states, size_t outputs, std::vector<uint8_t>& out) {
  const size_t used_lanes = std::min<size_t>(kLanes, (outputs + kSymbolsPerRound - 1) / kSymbolsPerRound);
  BitWriter bits(out);
  for (size_t lane = 0; lane < used_lanes; ++lane) bits.Put(states[lane], kStateBits);
  bits.Flush();
}

}  // namespace

bool EncodeTans(const EncodeTable& table, ByteSpan plain, Scratch::Impl& scratch, std::vector<uint8_t>& out) {
  Classified classified;
  if (!Classify(table, plain, scratch, classified)) return false;
  const size_t rounds = (plain.size() + kRoundBytes - 1) / kRoundBytes;
  const size_t tail_rounds = ChooseTailRounds(table, plain.size());
  const size_t bulk_rounds = rounds - tail_rounds;
  const Tail tail(table, classified.symbols.subspan(bulk_rounds * kRoundBytes));
  Bulk bulk;
  EncodeBulk(table, bulk_rounds, classified.symbols.data(), tail, scratch, bulk);
  std::vector<uint8_t> tail_bytes;
  tail.AppendBytes(bulk.available, tail_bytes);

  out.clear();
  out.push_back(static_cast<uint8_t>(tail_rounds));
  PutVarint(static_cast<uint32_t>(bulk.bytes + tail_bytes.size()), out);
  EncodedEscapes escapes;
  if (table.model.has_escapes()) {
    escapes = EncodeEscapes(table, classified.escapes);
    PutEscapeHeader(static_cast<uint32_t>(classified.escapes.size()), escapes, out);
  }
  AppendStates(bulk.states, plain.size(), out);
  AppendBulk(bulk, tail, out);
  out.insert(out.end(), tail_bytes.begin(), tail_bytes.end());
  out.insert(out.end(), classified.raw.begin(), classified.raw.end());
  out.insert(out.end(), escapes.bits.begin(), escapes.bits.end());
  return true;
}

}  // namespace entrofs::codec
