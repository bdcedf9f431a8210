// Portable kernels; the reference for all others.

#include <string.h>

#include "codec/kernels/kernels.h"

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

// Decodes one round's held bytes.
void DecodeTansRound(const TansTables& tables, TansLanes& lanes, StreamCursor& cursor, uint8_t* held) {
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const unsigned take = lanes.consumed[lane] >> 3;
    unsigned consumed = lanes.consumed[lane] & 7;
    uint32_t chunk;
    memcpy(&chunk, cursor.main, sizeof chunk);
    cursor.main += take;
    // The low `take` bytes of the chunk go right below the bits that are left.
    const uint64_t mask = (uint64_t{1} << (8 * take)) - 1;
    uint32_t window = lanes.window[lane] | static_cast<uint32_t>((chunk & mask) << consumed);
    unsigned state = lanes.state[lane];
    for (unsigned step = 0; step < kRoundBytes / kLanes; ++step) {
      held[lane * (kRoundBytes / kLanes) + step] = tables.held[state];
      const unsigned count = tables.bit_count[state];
      const uint64_t shifted = static_cast<uint64_t>(window) << count;
      state = tables.next_base[state] + static_cast<unsigned>(shifted >> 32);
      window = static_cast<uint32_t>(shifted);
      consumed += count;
    }
    lanes.state[lane] = static_cast<uint8_t>(state);
    lanes.window[lane] = window;
    lanes.consumed[lane] = static_cast<uint8_t>(consumed);
  }
}

bool PatchEscapes(const FinishTables& tables, StreamCursor& cursor, uint8_t* held) {
  const size_t available = static_cast<size_t>(cursor.escapes_end - cursor.escapes);
  size_t used = 0;
  for (size_t i = 0; i < kRoundBytes; ++i) {
    if (held[i] != tables.escape_marker) continue;
    if (used == available) return false;
    held[i] = cursor.escapes[used++];
  }
  cursor.escapes += used;
  return true;
}

// Merges one round's raw planes into held bytes: nibbles lowest, then crumbs, then bits.
void MergeRawPlanes(unsigned raw_bits, const uint8_t* raw, uint8_t* held) {
  unsigned shift = 0;
  if (raw_bits & 4) {
    for (unsigned i = 0; i < kRoundBytes; ++i) {
      held[i] = static_cast<uint8_t>(held[i] | (raw[i / 128 * 64 + i % 64] >> (i / 64 % 2 * 4) & 15));
    }
    raw += kRoundBytes / 2;
    shift = 4;
  }
  if (raw_bits & 2) {
    for (unsigned i = 0; i < kRoundBytes; ++i) {
      held[i] = static_cast<uint8_t>(held[i] | (raw[i % 64] >> (i / 64 * 2) & 3) << shift);
    }
    raw += kRoundBytes / 4;
    shift += 2;
  }
  if (raw_bits & 1) {
    for (unsigned i = 0; i < kRoundBytes; ++i) {
      held[i] = static_cast<uint8_t>(held[i] | (raw[i % 32] >> (i / 32) & 1) << shift);
    }
  }
}

bool FinishRounds(const FinishTables& tables, size_t rounds, uint8_t* held, StreamCursor& cursor, uint8_t* plain) {
  for (size_t round = 0; round < rounds; ++round, held += kRoundBytes, plain += kRoundBytes) {
    if (tables.has_escapes && !PatchEscapes(tables, cursor, held)) return false;
    if (tables.raw_bits == 0) {
      memcpy(plain, held, kRoundBytes);
      continue;
    }
    MergeRawPlanes(tables.raw_bits, cursor.raw, held);
    cursor.raw += kRoundBytes / 8 * tables.raw_bits;
    for (size_t i = 0; i < kRoundBytes; ++i) plain[i] = tables.value_of_rank[held[i]];
  }
  return true;
}

bool DecodeTans(const TansTables& tables, size_t rounds, TansLanes& lanes, StreamCursor& cursor, uint8_t* plain) {
  uint8_t held[kRoundBytes + kKernelSlackBytes];
  for (size_t round = 0; round < rounds; ++round) {
    DecodeTansRound(tables, lanes, cursor, held);
    if (cursor.main > cursor.main_end) return false;
    if (!FinishRounds(tables.finish, 1, held, cursor, plain + round * kRoundBytes)) return false;
  }
  return true;
}

bool DecodePrefix(const uint32_t* pair_lookup, size_t count, size_t stride, PrefixCursor& cursor, uint8_t* held) {
  for (size_t at = 0; at < count; at += kPrefixBatch) {
    uint64_t window[4];
    for (unsigned run = 0; run < 4; ++run) {
      if (cursor.at[run] > cursor.end[run]) return false;
      memcpy(&window[run], cursor.at[run], sizeof window[run]);
      window[run] >>= cursor.used[run];
    }
    for (unsigned pair = 0; pair < kPrefixBatch / 2; ++pair) {
      for (unsigned run = 0; run < 4; ++run) {
        const uint32_t entry = pair_lookup[window[run] & (kPairLookupSize - 1)];
        const uint16_t two = static_cast<uint16_t>(entry >> 8);
        memcpy(held + run * stride + at + 2 * pair, &two, sizeof two);
        window[run] >>= entry & 0xff;
        cursor.used[run] += entry & 0xff;
      }
    }
    for (unsigned run = 0; run < 4; ++run) {
      cursor.at[run] += cursor.used[run] >> 3;
      cursor.used[run] &= 7;
    }
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
