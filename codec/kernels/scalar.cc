// Portable kernels; the reference for all others.

#include <string.h>

#include "codec/kernels/kernels.h"
#include "codec/kernels/prefix_loop.h"

namespace entrofs::codec {
namespace {

template <typename Element>
void SplitElements(const uint8_t* plain, size_t count, bool rotate_sign, uint8_t* const* planes) {
  constexpr unsigned kBits = 8 * sizeof(Element);
  const unsigned left = rotate_sign ? 1 : 0;
  for (size_t i = 0; i < count; ++i) {
    Element element;
    memcpy(&element, plain + i * sizeof element, sizeof element);
    element = static_cast<Element>(element << left | (rotate_sign ? element >> (kBits - 1) : 0));
    for (unsigned p = 0; p < sizeof element; ++p) planes[p][i] = static_cast<uint8_t>(element >> (8 * p));
  }
}

template <typename Element>
void MergeElements(const uint8_t* const* planes, size_t count, bool rotate_sign, uint8_t* plain) {
  constexpr unsigned kBits = 8 * sizeof(Element);
  const unsigned right = rotate_sign ? 1 : 0;
  for (size_t i = 0; i < count; ++i) {
    Element element = 0;
    for (unsigned p = 0; p < sizeof element; ++p) {
      element = static_cast<Element>(element | static_cast<Element>(planes[p][i]) << (8 * p));
    }
    element = static_cast<Element>(element >> right | (rotate_sign ? element << (kBits - 1) : 0));
    memcpy(plain + i * sizeof element, &element, sizeof element);
  }
}

void SplitPlanes(const uint8_t* plain, size_t count, unsigned element_bytes, bool rotate_sign, uint8_t* const* planes) {
  switch (element_bytes) {
    case 2:
      return SplitElements<uint16_t>(plain, count, rotate_sign, planes);
    case 4:
      return SplitElements<uint32_t>(plain, count, rotate_sign, planes);
    default:
      return SplitElements<uint64_t>(plain, count, rotate_sign, planes);
  }
}

void MergePlanes(const uint8_t* const* planes, size_t count, unsigned element_bytes, bool rotate_sign, uint8_t* plain) {
  switch (element_bytes) {
    case 2:
      return MergeElements<uint16_t>(planes, count, rotate_sign, plain);
    case 4:
      return MergeElements<uint32_t>(planes, count, rotate_sign, plain);
    default:
      return MergeElements<uint64_t>(planes, count, rotate_sign, plain);
  }
}

// Eight bytes of this value.
constexpr uint64_t EachByte(uint8_t value) { return value * uint64_t{0x0101010101010101}; }

uint64_t LoadWord(const uint8_t* p) {
  uint64_t word;
  memcpy(&word, p, sizeof word);
  return word;
}

// What a state means, in one word each: bits to read in bits 0..7 and held byte in bits 8..15; next prefix in bits
// 32..63 (see TansTables).
struct StateWords {
  uint16_t bits_and_held[kStates];
  uint64_t prefix[kStates];
  explicit StateWords(const TansTables& tables) {
    for (unsigned state = 0; state < kStates; ++state) {
      bits_and_held[state] = static_cast<uint16_t>(tables.bit_count[state] | tables.held[state] << 8);
      prefix[state] = static_cast<uint64_t>(tables.next_prefix[state]) << 32;
    }
  }
};

// Decodes one round's held bytes; four lanes together, so that their chains overlap. Returns the new end of main.
const uint8_t* DecodeTansRound(const StateWords& words, TansLanes& lanes, const uint8_t* main, uint8_t* held) {
  constexpr unsigned kTogether = 4;
  for (unsigned lane = 0; lane < kLanes; lane += kTogether, held += kTogether * (kRoundBytes / kLanes)) {
    uint32_t window[kTogether];
    uint32_t state[kTogether];
    uint32_t consumed[kTogether];
#pragma GCC unroll 4
    for (unsigned i = 0; i < kTogether; ++i) {
      const unsigned before = lanes.consumed[lane + i];
      const unsigned take = before >> 3;
      uint32_t chunk;
      memcpy(&chunk, main, sizeof chunk);
      main += take;
      // The low `take` bytes of the chunk go right below the bits that are left.
      chunk &= static_cast<uint32_t>((uint64_t{1} << (8 * take)) - 1);
      consumed[i] = before & 7;
      window[i] = lanes.window[lane + i] | chunk << consumed[i];
      state[i] = lanes.state[lane + i];
    }
#pragma GCC unroll 4
    for (unsigned step = 0; step < kRoundBytes / kLanes; ++step) {
#pragma GCC unroll 4
      for (unsigned i = 0; i < kTogether; ++i) {
        const uint32_t entry = words.bits_and_held[state[i]];
        const uint64_t shifted = (words.prefix[state[i]] | window[i]) << (entry & 63);
        held[i * (kRoundBytes / kLanes) + step] = static_cast<uint8_t>(entry >> 8);
        consumed[i] += entry;  // only the low byte counts
        window[i] = static_cast<uint32_t>(shifted);
        state[i] = static_cast<uint32_t>(shifted >> 32);
      }
    }
#pragma GCC unroll 4
    for (unsigned i = 0; i < kTogether; ++i) {
      lanes.window[lane + i] = window[i];
      lanes.state[lane + i] = static_cast<uint8_t>(state[i]);
      lanes.consumed[lane + i] = static_cast<uint8_t>(consumed[i]);
    }
  }
  return main;
}

// Bit i is set when byte i of the 64 at `bytes` is `value`.
uint64_t FindByte(const uint8_t* bytes, uint8_t value) {
  uint64_t found = 0;
  for (unsigned i = 0; i < 8; ++i) {
    const uint64_t differs = LoadWord(bytes + 8 * i) ^ EachByte(value);
    // The top bit of each byte that is zero; then those eight bits side by side.
    const uint64_t zero = ~(((differs & EachByte(0x7f)) + EachByte(0x7f)) | differs) & EachByte(0x80);
    found |= ((zero >> 7) * uint64_t{0x0102040810204080} >> 56) << (8 * i);
  }
  return found;
}

// Index of the lowest bit of `mask`, 64 if there is none.
unsigned LowestBit(uint64_t mask) { return mask == 0 ? 64 : static_cast<unsigned>(__builtin_ctzll(mask)); }

// Replaces the markers of one round. Without branches for up to three in 64 bytes, because where they are cannot be
// predicted: a patch past the last marker lands on the byte after the 64, which is put back.
bool PatchEscapes(uint8_t marker, StreamCursor& cursor, uint8_t* held) {
  uint64_t found[kRoundBytes / 64];
  for (unsigned i = 0; i < kRoundBytes / 64; ++i) found[i] = FindByte(held + 64 * i, marker);
  const uint8_t* escapes = cursor.escapes;
  for (unsigned i = 0; i < kRoundBytes / 64; ++i) {
    uint8_t* const bytes = held + 64 * i;
    uint64_t mask = found[i];
    const uint8_t after = bytes[64];
#pragma GCC unroll 3
    for (unsigned j = 0; j < 3; ++j) {
      bytes[LowestBit(mask)] = *escapes;
      escapes += mask != 0;
      mask &= mask - 1;
    }
    bytes[64] = after;
    for (; mask != 0; mask &= mask - 1) bytes[LowestBit(mask)] = *escapes++;
    if (escapes > cursor.escapes_end) return false;
  }
  cursor.escapes = escapes;
  return true;
}

// Merges one round's raw planes into held bytes: nibbles lowest, then crumbs, then bits.
template <unsigned kRawBits>
void MergeRawPlanes(const uint8_t* raw, uint8_t* held) {
  constexpr unsigned kCrumbShift = kRawBits & 4 ? 4 : 0;
  constexpr unsigned kBitShift = kCrumbShift + (kRawBits & 2 ? 2 : 0);
  const uint8_t* const crumbs = raw + (kRawBits & 4 ? kRoundBytes / 2 : 0);
  const uint8_t* const bits = crumbs + (kRawBits & 2 ? kRoundBytes / 4 : 0);
  for (unsigned group = 0; group < 8; ++group) {  // of 32 outputs
    for (unsigned i = 0; i < 32; i += sizeof(uint64_t)) {
      uint64_t word = LoadWord(held + 32 * group + i);
      const unsigned at = group % 2 * 32 + i;  // among 64 outputs
      if (kRawBits & 4) word |= LoadWord(raw + group / 4 * 64 + at) >> (group / 2 % 2 * 4) & EachByte(15);
      if (kRawBits & 2) word |= (LoadWord(crumbs + at) >> (group / 2 * 2) & EachByte(3)) << kCrumbShift;
      if (kRawBits & 1) word |= (LoadWord(bits + i) >> group & EachByte(1)) << kBitShift;
      memcpy(held + 32 * group + i, &word, sizeof word);
    }
  }
}

using MergeFunction = void (*)(const uint8_t*, uint8_t*);
constexpr MergeFunction kMergeRawPlanes[6] = {nullptr,           MergeRawPlanes<1>, MergeRawPlanes<2>,
                                              MergeRawPlanes<3>, MergeRawPlanes<4>, MergeRawPlanes<5>};

// plain = the value whose rank in the zigzag around `center` is in `ranks`.
void ApplyZigzag(uint8_t center, const uint8_t* ranks, uint8_t* plain) {
  for (size_t i = 0; i < kRoundBytes; ++i) {
    plain[i] = static_cast<uint8_t>((ranks[i] >> 1 ^ -(ranks[i] & 1)) + center);
  }
}

void ApplyOrder(const uint8_t* value_of_rank, const uint8_t* ranks, uint8_t* plain) {
  for (size_t i = 0; i < kRoundBytes; ++i) plain[i] = value_of_rank[ranks[i]];
}

bool FinishRounds(const FinishTables& tables, size_t rounds, uint8_t* held, StreamCursor& cursor, uint8_t* plain) {
  for (size_t round = 0; round < rounds; ++round, held += kRoundBytes, plain += kRoundBytes) {
    if (tables.has_escapes && !PatchEscapes(tables.escape_marker, cursor, held)) return false;
    if (tables.raw_bits == 0) {
      memcpy(plain, held, kRoundBytes);
      continue;
    }
    kMergeRawPlanes[tables.raw_bits](cursor.raw, held);
    cursor.raw += kRoundBytes / 8 * tables.raw_bits;
    if (tables.is_zigzag) {
      ApplyZigzag(tables.center, held, plain);
    } else {
      ApplyOrder(tables.value_of_rank, held, plain);
    }
  }
  return true;
}

bool DecodeTans(const TansTables& tables, size_t rounds, TansLanes& lanes, StreamCursor& cursor, uint8_t* plain) {
  const StateWords words(tables);
  uint8_t held[kRoundBytes + kKernelSlackBytes];
  for (size_t round = 0; round < rounds; ++round) {
    cursor.main = DecodeTansRound(words, lanes, cursor.main, held);
    if (cursor.main > cursor.main_end) return false;
    if (!FinishRounds(tables.finish, 1, held, cursor, plain + round * kRoundBytes)) return false;
  }
  return true;
}

// Cuts the raw bits of one round of ranks into planes. Returns the end of what was written.
uint8_t* PackRawPlanes(unsigned raw_bits, const uint8_t* ranks, uint8_t* out) {
  unsigned shift = 0;
  if (raw_bits & 4) {
    for (unsigned half = 0; half < 2; ++half, ranks += kRoundBytes / 2, out += 64) {
      for (unsigned i = 0; i < 64; ++i) out[i] = static_cast<uint8_t>((ranks[i] & 15) | ranks[64 + i] << 4);
    }
    ranks -= kRoundBytes;
    shift = 4;
  }
  if (raw_bits & 2) {
    for (unsigned i = 0; i < 64; ++i) {
      unsigned byte = 0;
      for (unsigned group = 0; group < 4; ++group) byte |= (ranks[64 * group + i] >> shift & 3u) << (2 * group);
      out[i] = static_cast<uint8_t>(byte);
    }
    out += 64;
    shift += 2;
  }
  if (raw_bits & 1) {
    for (unsigned i = 0; i < 32; ++i) {
      unsigned byte = 0;
      for (unsigned group = 0; group < 8; ++group) byte |= (ranks[32 * group + i] >> shift & 1u) << group;
      out[i] = static_cast<uint8_t>(byte);
    }
    out += 32;
  }
  return out;
}

bool Classify(const ClassifyTables& tables, const uint8_t* plain, size_t rounds, uint8_t* symbols, uint8_t** escapes,
              uint8_t* raw) {
  uint8_t* escape = *escapes;
  uint8_t ranks[kRoundBytes];
  for (size_t round = 0; round < rounds; ++round, plain += kRoundBytes, symbols += kRoundBytes) {
    uint8_t all = 0;
    for (size_t i = 0; i < kRoundBytes; ++i) {
      const uint8_t symbol = tables.symbol_of_value[plain[i]];
      ranks[i] = tables.rank_of_value[plain[i]];
      symbols[i] = symbol;
      all |= symbol;
      *escape = static_cast<uint8_t>(ranks[i] >> tables.raw_bits);
      escape += symbol == tables.escape_symbol;
    }
    if (all & 0x80) return false;  // kNoSymbol
    raw = PackRawPlanes(tables.raw_bits, ranks, raw);
  }
  *escapes = escape;
  return true;
}

void EncodeTans(const TansEncodeTables& tables, const uint8_t* symbols, size_t rounds, uint8_t* states, uint32_t* steps,
                uint32_t* bit_totals) {
  constexpr unsigned kTogether = 4;  // lanes, so that their chains overlap
  for (size_t round = rounds; round-- > 0;) {
    for (unsigned lane = 0; lane < kLanes; lane += kTogether) {
      const uint8_t* symbol = symbols + round * kRoundBytes + lane * (kRoundBytes / kLanes);
      uint32_t state[kTogether];
      uint32_t bits[kTogether] = {};
      uint32_t count[kTogether] = {};
      for (unsigned i = 0; i < kTogether; ++i) state[i] = states[lane + i];
      for (unsigned step = kRoundBytes / kLanes; step-- > 0;) {
        for (unsigned i = 0; i < kTogether; ++i) {
          const uint32_t entry = tables.transition[symbol[4 * i + step]][state[i]];
          const uint32_t read = entry >> 8;
          bits[i] |= (state[i] & ((1u << read) - 1)) << count[i];
          count[i] += read;
          state[i] = entry & 0xff;
        }
      }
      for (unsigned i = 0; i < kTogether; ++i) {
        states[lane + i] = static_cast<uint8_t>(state[i]);
        steps[round * kLanes + lane + i] = bits[i] | count[i] << kStepBits;
        bit_totals[lane + i] += count[i];
      }
    }
  }
}

uint8_t* Interleave(const uint32_t* steps, size_t rounds, uint32_t* windows, uint32_t* bit_totals, uint8_t* end) {
  for (size_t round = rounds; round-- > 0;) {
    for (unsigned lane = kLanes; lane-- > 0;) {
      const uint32_t step = steps[round * kLanes + lane];
      const uint32_t count = step >> kStepBits;
      // The window before the round: its own bits, then what followed.
      const uint64_t bits = static_cast<uint64_t>(step & ((1u << kStepBits) - 1)) << (32 - count);
      windows[lane] = static_cast<uint32_t>(bits | static_cast<uint64_t>(windows[lane]) >> count);
      const uint32_t position = bit_totals[lane] -= count;
      uint32_t take = 4;
      if (round > 0) take = position / 8 - (position - (steps[(round - 1) * kLanes + lane] >> kStepBits)) / 8;
      // The bytes taken are the last whole ones of the window. What is stored in front of them is overwritten next.
      const uint64_t taken = static_cast<uint64_t>(windows[lane] >> (position & 7)) << (32 - 8 * take);
      const uint32_t stored = static_cast<uint32_t>(taken);
      if (take > 0) memcpy(end - sizeof stored, &stored, sizeof stored);
      end -= take;
    }
  }
  return end;
}

}  // namespace

const Kernels kScalarKernels = {
    .name = "scalar",
    .split_planes = SplitPlanes,
    .merge_planes = MergePlanes,
    .decode_tans = DecodeTans,
    .decode_prefix = DecodePrefix,
    .finish_rounds = FinishRounds,
    .classify = Classify,
    .encode_tans = EncodeTans,
    .interleave = Interleave,
};

}  // namespace entrofs::codec
