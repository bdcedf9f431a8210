// Portable kernels; the reference for all others.

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "codec/kernels/kernels.h"
#include "codec/kernels/prefix_loop.h"
#include "codec/kernels/trellis_path.h"

namespace entrofs::codec {
namespace {

constexpr size_t kRoundsPerChunk = 8;  // decoded to held bytes before they are finished

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

// What every CPU of the two architectures has, in the compiler's own notation.
using Bytes16 = uint8_t __attribute__((vector_size(16)));

Bytes16 Load16(const uint8_t* p) {
  Bytes16 bytes;
  memcpy(&bytes, p, sizeof bytes);
  return bytes;
}

// Bit i is set when byte i is not zero. Requires: bytes are 0 or 0xff.
#ifdef __SSE2__
uint64_t MaskBits(Bytes16 bytes) { return static_cast<uint32_t>(_mm_movemask_epi8(reinterpret_cast<__m128i>(bytes))); }
#else
uint64_t MaskBits(Bytes16 bytes) {
  bytes &= Bytes16{1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  uint64_t halves[2];
  memcpy(halves, &bytes, sizeof bytes);
  // Eight different bits: their sum, which is in the top byte, is all of them.
  constexpr uint64_t kSumOfBytes = 0x0101010101010101;
  return halves[0] * kSumOfBytes >> 56 | halves[1] * kSumOfBytes >> 56 << 8;
}
#endif

// What two steps of the state machine do, by state and the next six bits, which tell the first step and so the state of
// the second: bits that both read in byte 0, the two held bytes in bytes 1 and 2. `chain`, a state above the 32 bits of
// its lane's window, goes to (chain << bits) + (entry with its low half zeroed): what the shift moves above the bits of
// the second step is known, and the high half of an entry replaces it by that step's base.
struct TwoSteps {
  uint64_t entry[kStates * 64];

  void Fill(const TansTables& tables) {
    for (uint64_t state = 0; state < kStates; ++state) {
      const unsigned first_bits = tables.bit_count[state];
      const size_t copies = size_t{64} >> first_bits;
      uint64_t* at = entry + state * 64;
      for (uint64_t read = 0; read < uint64_t{1} << first_bits; ++read, at += copies) {
        const unsigned second = (tables.next_base[state] + static_cast<unsigned>(read)) % kStates;
        const unsigned second_bits = tables.bit_count[second];
        const uint64_t above = state << (first_bits + second_bits) | read << second_bits;
        const uint64_t value = (tables.next_base[second] - above) << 32 |
                               static_cast<uint64_t>(tables.held[second]) << 16 |
                               static_cast<uint64_t>(tables.held[state]) << 8 | (first_bits + second_bits);
        for (size_t i = 0; i < copies; ++i) at[i] = value;
      }
    }
  }
};

// TansLanes in the form that TwoSteps needs.
struct Chains {
  uint64_t chain[kLanes];
  uint8_t consumed[kLanes];
};

constexpr uint64_t kHighHalf = ~uint64_t{0} << 32;
constexpr uint32_t kTakenBytes[8] = {0, 0xff, 0xffff, 0xffffff, 0xffffffff};

// Decodes one round's held bytes and returns the new end of main. One lane after the other: a CPU that looks far enough
// ahead works on several at once, and no lane's registers go through memory more than once a round.
const uint8_t* DecodeTansRound(const TwoSteps& two_steps, Chains& lanes, const uint8_t* main, uint8_t* held) {
#pragma GCC unroll 2
  for (unsigned lane = 0; lane < kLanes; ++lane, held += kRoundBytes / kLanes) {
    const unsigned before = lanes.consumed[lane];
    uint32_t taken;
    memcpy(&taken, main, sizeof taken);
    main += before >> 3;
    uint32_t consumed = before & 7;
    // The bytes taken go right below the bits that are left.
    uint64_t chain = lanes.chain[lane] | static_cast<uint64_t>(taken & kTakenBytes[before >> 3]) << consumed;
#pragma GCC unroll 2
    for (unsigned pair = 0; pair < 2; ++pair) {
      const uint64_t entry = two_steps.entry[chain >> 26];
      const uint16_t two = static_cast<uint16_t>(entry >> 8);
      memcpy(held + 2 * pair, &two, sizeof two);
      consumed += static_cast<uint32_t>(entry);  // only the low byte counts
      chain = (chain << (entry & 63)) + (entry & kHighHalf);
    }
    lanes.chain[lane] = chain;
    lanes.consumed[lane] = static_cast<uint8_t>(consumed);
  }
  return main;
}

// Bit i is set when byte i of the 64 at `bytes` is `value`.
uint64_t FindByte(const uint8_t* bytes, uint8_t value) {
  uint64_t found = 0;
#pragma GCC unroll 4
  for (unsigned i = 0; i < 4; ++i) {
    const auto equal = Load16(bytes + 16 * i) == value;
    found |= MaskBits(reinterpret_cast<Bytes16>(equal)) << (16 * i);
  }
  return found;
}

// Index of the lowest bit of `mask`, 64 if there is none. In assembly because compilers make a branch of the second
// case, which is mispredicted half the time. (On CPUs without tzcnt the same bytes are bsf, which leaves 64 alone.)
#if defined(__x86_64__)
uint64_t LowestBit(uint64_t mask) {
  uint64_t index = 64;
  asm("rep bsf %1, %0" : "+r"(index) : "r"(mask) : "cc");
  return index;
}
#elif defined(__aarch64__)
uint64_t LowestBit(uint64_t mask) {
  uint64_t index;
  asm("rbit %0, %1\n\tclz %0, %0" : "=r"(index) : "r"(mask));
  return index;
}
#else
uint64_t LowestBit(uint64_t mask) { return mask == 0 ? 64 : static_cast<unsigned>(__builtin_ctzll(mask)); }
#endif

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

// The raw bits of outputs 16 * v .. 16 * v + 15 of a round, one per byte, merged into `bytes`: nibbles lowest, then
// crumbs, then bits.
template <unsigned kRawBits>
inline __attribute__((always_inline)) Bytes16 MergeRaw(Bytes16 bytes, unsigned v, const uint8_t* raw) {
  constexpr unsigned kCrumbShift = kRawBits & 4 ? 4 : 0;
  constexpr unsigned kBitShift = kCrumbShift + (kRawBits & 2 ? 2 : 0);
  const uint8_t* const crumbs = raw + (kRawBits & 4 ? kRoundBytes / 2 : 0);
  const uint8_t* const bits = crumbs + (kRawBits & 2 ? kRoundBytes / 4 : 0);
  if (kRawBits & 4) bytes |= Load16(raw + v / 8 * 64 + v % 4 * 16) >> (v / 4 % 2 * 4) & 15;
  if (kRawBits & 2) bytes |= (Load16(crumbs + v % 4 * 16) >> (v / 4 * 2) & 3) << kCrumbShift;
  if (kRawBits & 1) bytes |= (Load16(bits + v % 2 * 16) >> (v / 2) & 1) << kBitShift;
  return bytes;
}

Bytes16 ZigzagValues(Bytes16 ranks, uint8_t center) { return (ranks >> 1 ^ -(ranks & 1)) + center; }

// Merges one round's raw planes into held bytes, and replaces the ranks by their values.
template <unsigned kRawBits, bool kZigzag>
void MergeAndOrder(const FinishTables& tables, const uint8_t* raw, uint8_t* held, uint8_t* plain) {
#pragma GCC unroll 16
  for (unsigned v = 0; v < kRoundBytes / 16; ++v) {
    Bytes16 bytes = MergeRaw<kRawBits>(Load16(held + 16 * v), v, raw);
    if (kZigzag) bytes = ZigzagValues(bytes, tables.center);
    memcpy((kZigzag ? plain : held) + 16 * v, &bytes, sizeof bytes);
  }
  if (kZigzag) return;
#pragma GCC unroll 8
  for (size_t i = 0; i < kRoundBytes; ++i) plain[i] = tables.value_of_rank[held[i]];
}

using OrderFunction = void (*)(const FinishTables&, const uint8_t*, uint8_t*, uint8_t*);
constexpr OrderFunction kMergeAndOrder[6][2] = {
    {nullptr, nullptr},
    {MergeAndOrder<1, false>, MergeAndOrder<1, true>},
    {MergeAndOrder<2, false>, MergeAndOrder<2, true>},
    {MergeAndOrder<3, false>, MergeAndOrder<3, true>},
    {MergeAndOrder<4, false>, MergeAndOrder<4, true>},
    {MergeAndOrder<5, false>, MergeAndOrder<5, true>},
};

bool FinishRounds(const FinishTables& tables, size_t rounds, uint8_t* held, StreamCursor& cursor, uint8_t* plain) {
  for (size_t round = 0; round < rounds; ++round, held += kRoundBytes, plain += kRoundBytes) {
    if (tables.has_escapes && !PatchEscapes(tables.escape_marker, cursor, held)) return false;
    if (tables.raw_bits == 0) {
      memcpy(plain, held, kRoundBytes);
      continue;
    }
    kMergeAndOrder[tables.raw_bits][tables.is_zigzag](tables, cursor.raw, held, plain);
    cursor.raw += kRoundBytes / 8 * tables.raw_bits;
  }
  return true;
}

bool DecodeTans(const TansTables& tables, size_t rounds, TansLanes& lanes, StreamCursor& cursor, uint8_t* plain) {
  if (rounds == 0) return true;
  TwoSteps& two_steps = *static_cast<TwoSteps*>(lanes.kept);
  if (lanes.consumed[0] == 32) two_steps.Fill(tables);
  Chains chains;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    chains.chain[lane] = static_cast<uint64_t>(lanes.state[lane]) << 32 | lanes.window[lane];
    chains.consumed[lane] = lanes.consumed[lane];
  }
  uint8_t held[kRoundsPerChunk * kRoundBytes + kKernelSlackBytes];
  while (rounds > 0) {
    const size_t chunk = rounds < kRoundsPerChunk ? rounds : kRoundsPerChunk;
    for (size_t round = 0; round < chunk; ++round) {
      cursor.main = DecodeTansRound(two_steps, chains, cursor.main, held + round * kRoundBytes);
      if (cursor.main > cursor.main_end) return false;
    }
    if (!FinishRounds(tables.finish, chunk, held, cursor, plain)) return false;
    plain += chunk * kRoundBytes;
    rounds -= chunk;
  }
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    lanes.state[lane] = static_cast<uint8_t>(chains.chain[lane] >> 32);
    lanes.window[lane] = static_cast<uint32_t>(chains.chain[lane]);
    lanes.consumed[lane] = chains.consumed[lane];
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

// Ranks, class symbols and escapes of one round, value by value.
bool ClassifyValues(const ClassifyTables& tables, const uint8_t* plain, uint8_t* ranks, uint8_t* symbols,
                    uint8_t*& escapes) {
  uint8_t all = 0;
  for (size_t i = 0; i < kRoundBytes; ++i) {
    const uint8_t symbol = tables.symbol_of_value[plain[i]];
    ranks[i] = tables.rank_of_value[plain[i]];
    symbols[i] = symbol;
    all |= symbol;
    *escapes = static_cast<uint8_t>(ranks[i] >> tables.raw_bits);
    escapes += symbol == tables.escape_symbol;
  }
  return (all & 0x80) == 0;  // kNoSymbol
}

// The same for tables with all_coded, sixteen values at a time.
bool ClassifyVectors(const ClassifyTables& tables, const uint8_t* plain, uint8_t* ranks, uint8_t* symbols,
                     uint8_t*& escapes) {
  uint8_t classes[kRoundBytes + 1];  // one more, for the mask without a bit
  classes[kRoundBytes] = 0;
  if (!tables.is_zigzag) {
#pragma GCC unroll 8
    for (size_t i = 0; i < kRoundBytes; ++i) ranks[i] = tables.rank_of_value[plain[i]];
  }
  for (size_t i = 0; i < kRoundBytes; i += 16) {
    Bytes16 rank;
    if (tables.is_zigzag) {
      const Bytes16 distance = Load16(plain + i) - tables.center;
      rank = (distance << 1) ^ -(distance >> 7);
      memcpy(ranks + i, &rank, sizeof rank);
    } else {
      rank = Load16(ranks + i);
    }
    const Bytes16 class_number = rank >> tables.raw_bits;
    const Bytes16 coded = Bytes16{} + tables.coded_classes;
    const Bytes16 symbol = class_number < coded ? class_number : coded;
    memcpy(classes + i, &class_number, sizeof class_number);
    memcpy(symbols + i, &symbol, sizeof symbol);
  }
  bool all_have_code = true;
  for (size_t i = 0; i < kRoundBytes; i += 64) {
    uint64_t mask = FindByte(symbols + i, tables.coded_classes);
    auto append = [&] {
      const uint8_t class_number = classes[i + LowestBit(mask)];
      *escapes = class_number;
      escapes += mask != 0;
      all_have_code &= mask == 0 || tables.class_has_code[class_number];
      mask &= mask - 1;
    };
#pragma GCC unroll 3
    for (int j = 0; j < 3; ++j) append();
    while (mask != 0) append();
  }
  return all_have_code;
}

bool Classify(const ClassifyTables& tables, const uint8_t* plain, size_t rounds, uint8_t* symbols, uint8_t** escapes,
              uint8_t* raw) {
  const auto classify = tables.all_coded ? ClassifyVectors : ClassifyValues;
  uint8_t ranks[kRoundBytes];
  for (size_t round = 0; round < rounds; ++round, plain += kRoundBytes, symbols += kRoundBytes) {
    if (!classify(tables, plain, ranks, symbols, *escapes)) return false;
    raw = PackRawPlanes(tables.raw_bits, ranks, raw);
  }
  return true;
}

// Lanes to encode side by side, so that their chains overlap: cores that look far ahead overlap them in any case, and
// have fewer registers here.
#ifdef __x86_64__
constexpr unsigned kLanesTogether = 1;
#else
constexpr unsigned kLanesTogether = 4;
#endif

void EncodeTans(const TansEncodeTables& tables, const uint8_t* symbols, size_t rounds, uint8_t* states, uint32_t* steps,
                uint32_t* bit_totals) {
  const uint32_t* const transition = tables.transition[0];
  for (size_t round = rounds; round-- > 0;) {
    for (unsigned lane = 0; lane < kLanes; lane += kLanesTogether) {
      const uint8_t* symbol = symbols + round * kRoundBytes + lane * (kRoundBytes / kLanes);
      uint32_t state[kLanesTogether];
      uint32_t bits[kLanesTogether] = {};   // 8 further up
      uint32_t count[kLanesTogether] = {};  // in byte 0; sums of no interest above
      for (unsigned i = 0; i < kLanesTogether; ++i) state[i] = states[lane + i];
#pragma GCC unroll 4
      for (unsigned step = kRoundBytes / kLanes; step-- > 0;) {
#pragma GCC unroll 4
        for (unsigned i = 0; i < kLanesTogether; ++i) {
          const uint32_t entry = transition[symbol[4 * i + step] * kStates + state[i]];
          bits[i] |= (entry & 0xff00) << (count[i] & 31);
          count[i] += entry;
          state[i] = entry >> 16;
        }
      }
      for (unsigned i = 0; i < kLanesTogether; ++i) {
        const uint32_t all = count[i] & 0xff;
        states[lane + i] = static_cast<uint8_t>(state[i]);
        steps[round * kLanes + lane + i] = bits[i] >> 8 | all << kStepBits;
        bit_totals[lane + i] += all;
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
      memcpy(end - sizeof stored, &stored, sizeof stored);
      end -= take;
    }
  }
  return end;
}

void MergeTrellis(const uint8_t* indices, size_t count, uint8_t* values) {
  MergeTrellisWith({}, indices, count, values);
}

void SplitTrellis(const uint8_t* values, size_t count, uint8_t* indices) {
  SplitTrellisWith({}, values, count, indices);
}

}  // namespace

const Kernels kScalarKernels = {
    .name = "scalar",
    .split_planes = SplitPlanes,
    .merge_planes = MergePlanes,
    .merge_trellis = MergeTrellis,
    .split_trellis = SplitTrellis,
    .decode_tans = DecodeTans,
    .tans_piece_bytes = 64 << 10,
    .tans_kept_bytes = sizeof(TwoSteps),
    .decode_prefix = DecodePrefix,
    .decode_escapes = DecodeEscapes,
    .finish_rounds = FinishRounds,
    .classify = Classify,
    .encode_tans = EncodeTans,
    .interleave = Interleave,
};

}  // namespace entrofs::codec
