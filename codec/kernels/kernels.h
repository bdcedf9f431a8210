#pragma once

#include <stddef.h>
#include <stdint.h>

// The inner loops of the codec, one set per instruction set. Kernel files are compiled with their own CPU flags, so
// they include only C headers, intrinsics and this file, and keep everything but their one table in an anonymous
// namespace: an inline function compiled for one CPU must not become the copy the whole program uses.
//
// docs/codec-format.md specifies what is computed here. All sets give the same bytes for valid input; for other input
// they may give other garbage, but only inside the output.
namespace entrofs::codec {

inline constexpr unsigned kLanes = 64;
inline constexpr size_t kRoundBytes = 256;  // outputs per round: four consecutive ones per lane
inline constexpr unsigned kStates = 64;
// Inputs of kernels are readable this far past their end, scratch of theirs writable.
inline constexpr size_t kKernelSlackBytes = 256;

// Turns held bytes (class << raw_bits, or values when there are no raw bits) into plain bytes.
struct FinishTables {
  alignas(64) uint8_t value_of_rank[256];
  uint8_t raw_bits;       // 0..5
  uint8_t escape_marker;  // held byte that stands for the next escape
  bool has_escapes;
  bool is_zigzag;  // value_of_rank is the zigzag around `center`
  uint8_t center;
  uint16_t coded_ranks;  // ranks from here on only escapes have
};

struct TansTables {
  // By state: bits to read (0..6), next state before those bits, held byte.
  alignas(64) uint8_t bit_count[kStates];
  alignas(64) uint8_t next_base[kStates];
  alignas(64) uint8_t held[kStates];
  // next_base >> bit_count, and 2 * next_base + 2^bit_count: the same in the forms vector kernels like.
  alignas(64) uint8_t next_prefix[kStates];
  alignas(64) uint8_t base_and_bits[kStates];
  FinishTables finish;
};

// The decoder's registers between rounds. window: unread bits, first in bit 31. consumed: bits taken from the window
// since it was last full, 0..31, or 32 before round 0.
struct TansLanes {
  alignas(64) uint32_t window[kLanes];
  alignas(64) uint8_t consumed[kLanes];
  alignas(64) uint8_t state[kLanes];
  void* kept;  // Kernels::tans_kept_bytes for what the kernel makes before round 0 and then uses
};

// Memory that will be used once a decoder is done, and that it may ask the CPU for meanwhile, a share with every round:
// later it would be waited for, and asked for at once it is more than a core can have under way. Addresses only: no
// memory need be there.
struct Ahead {
  struct Range {
    const uint8_t* at;
    size_t bytes_per_round;  // a multiple of 64
  };
  static constexpr size_t kMostReads = 8;
  Range read[kMostReads];
  size_t reads;
  Range write;
};

// What is left of a stream. Raw planes are known to suffice for the rounds asked for; the others are not.
struct StreamCursor {
  const uint8_t* main;  // tans only
  const uint8_t* main_end;
  const uint8_t* raw;
  const uint8_t* escapes;  // decoded held bytes
  const uint8_t* escapes_end;
  Ahead* ahead;  // for decode_tans; null where nothing is known but the output
};

// Four bit strings of code words: bits `used` and up of *at are next.
struct PrefixCursor {
  const uint8_t* at[4];
  const uint8_t* end[4];
  unsigned used[4];
};
// By the next bits of a string, the codes in them. An entry of `lookup` has in bits 0..5 the bits of the first codes
// together, in bits 6..29 their held bytes, the first lowest, and above their number, one at least. `first_bits` has
// the bits of the first code alone.
struct PrefixTables {  // of classes in huffman streams
  static constexpr unsigned kLookupBits = 12;
  static constexpr unsigned kMostCodes = 3;
  static constexpr unsigned kLookupSize = 1 << kLookupBits;
  static constexpr unsigned kFirstSize = 64;
  alignas(64) uint32_t lookup[kLookupSize];
  alignas(64) uint8_t first_bits[kFirstSize];
};
struct EscapeTables {
  static constexpr unsigned kLookupBits = 11;
  static constexpr unsigned kMostCodes = 2;
  static constexpr unsigned kLookupSize = 1 << kLookupBits;
  static constexpr unsigned kFirstSize = kLookupSize;
  alignas(64) uint32_t lookup[kLookupSize];
  alignas(64) uint8_t first_bits[kFirstSize];
};

// Encoding: what becomes of each byte value.
inline constexpr uint8_t kNoSymbol = 0xff;
struct ClassifyTables {
  alignas(64) uint8_t rank_of_value[256];
  alignas(64) uint8_t symbol_of_value[256];  // kNoSymbol when the value has no code
  uint8_t raw_bits;                          // 0..5
  uint8_t escape_symbol;                     // below 64, or 64 when there is none
  // The same for kernels that compute rather than look up: unless all_coded is false, a value's class symbol is its
  // class, rank >> raw_bits, or coded_classes if that is less, and the value has a code when its class has.
  bool all_coded;  // all classes below coded_classes have a code
  bool is_zigzag;  // rank_of_value is the zigzag around `center`
  uint8_t center;
  uint8_t coded_classes;
  bool class_has_code[256];
};

// Encoding: from which state of a class, after how many bits, a decoder comes to a given state.
struct TansEncodeTables {
  // By class symbol c: with bits = bit_base[c] + (state >= threshold[c]), the state before `state` is
  // state_of[((64 + state) >> bits) + offset[c] mod 256], and the bits are the low ones of `state`.
  alignas(64) uint8_t bit_base[kStates];
  alignas(64) uint8_t threshold[kStates];
  alignas(64) uint8_t offset[kStates];
  alignas(64) uint8_t state_of[kStates];
  uint8_t symbols;  // all class symbols are below this
  // The same as a table, by class symbol and state: the number of bits in byte 0, the bits in byte 1, the state before
  // in byte 2. Four entries can be added without a carry between bytes.
  uint32_t transition[kStates][kStates];
};

// The bits one lane reads in one round of bulk decoding: the first to be read topmost in the low kStepBits, their
// number above.
inline constexpr unsigned kStepBits = 24;

// A null function means that the scalar one serves; Active() has none.
struct Kernels {
  const char* name;  // as in SupportedKernels()

  // planes[p][i] = byte p of element i, i < count, where element i are the element_bytes little-endian bytes at
  // plain + i * element_bytes, rotated left by one bit if rotate_sign.
  // Requires: element_bytes is 2, 4 or 8; no overlap.
  void (*split_planes)(const uint8_t* plain, size_t count, unsigned element_bytes, bool rotate_sign,
                       uint8_t* const* planes);
  // The inverse.
  void (*merge_planes)(const uint8_t* const* planes, size_t count, unsigned element_bytes, bool rotate_sign,
                       uint8_t* plain);

  // values[t] = indices[t] rotated left by one bit, with its lowest bit flipped where the trellis' path says so; see
  // "trellis" in docs/codec-format.md. `values` may be `indices`. The second is the inverse.
  void (*merge_trellis)(const uint8_t* indices, size_t count, uint8_t* values);
  void (*split_trellis)(const uint8_t* values, size_t count, uint8_t* indices);

  // Decodes `rounds` whole rounds of a tans stream into plain[0, rounds * kRoundBytes), advancing lanes and cursor.
  // False, with the output undefined, as soon as a round has used more of main or escapes than there was.
  bool (*decode_tans)(const TansTables& tables, size_t rounds, TansLanes& lanes, StreamCursor& cursor, uint8_t* plain);
  // How much is best decoded at a time where the output is used at once: so little that it stays in the nearest cache
  // if the kernel leaves room there. A multiple of 4096.
  size_t tans_piece_bytes;
  size_t tans_kept_bytes = 0;  // for TansLanes::kept

  // Decodes counts[j] held bytes from each of the four strings, those of string j to held + j * stride. False when a
  // string ended before. Requires: counts[j] <= stride; kKernelSlackBytes are writable after the last.
  bool (*decode_prefix)(const PrefixTables& tables, const size_t* counts, size_t stride, PrefixCursor& cursor,
                        uint8_t* held);
  bool (*decode_escapes)(const EscapeTables& tables, const size_t* counts, size_t stride, PrefixCursor& cursor,
                         uint8_t* held);

  // Turns `rounds` rounds of held bytes into plain bytes: escapes, raw planes, order. `held` is overwritten; the
  // kKernelSlackBytes after it are used and then as before. False when there are more escapes than the cursor has.
  bool (*finish_rounds)(const FinishTables& tables, size_t rounds, uint8_t* held, StreamCursor& cursor, uint8_t* plain);

  // For `rounds` rounds of plain bytes: their class symbols; the classes (rank >> raw_bits) of those that escape, to
  // *escapes, which is advanced; their raw planes. False when a value has no code. The buffer of escapes has
  // kKernelSlackBytes after the last.
  bool (*classify)(const ClassifyTables& tables, const uint8_t* plain, size_t rounds, uint8_t* symbols,
                   uint8_t** escapes, uint8_t* raw);

  // Runs the encoder backwards over `rounds` rounds of symbols. states: by lane, those after the last round, replaced
  // by those before the first. steps: by round and lane. bit_totals: by lane, increased by the bits of all rounds.
  void (*encode_tans)(const TansEncodeTables& tables, const uint8_t* symbols, size_t rounds, uint8_t* states,
                      uint32_t* steps, uint32_t* bit_totals);

  // Writes the bytes that bulk decoding of `rounds` > 0 rounds takes, ending at `end`, and returns where they begin.
  // windows: by lane, the 32 bits that follow these rounds; overwritten. bit_totals: of these rounds; overwritten.
  uint8_t* (*interleave)(const uint32_t* steps, size_t rounds, uint32_t* windows, uint32_t* bit_totals, uint8_t* end);
};

extern const Kernels kScalarKernels;  // the reference
extern const Kernels kAvx512Kernels;  // needs F, BW, DQ, VL, VBMI, VBMI2, VNNI, BMI1, BMI2, PCLMUL
extern const Kernels kAvx2Kernels;    // needs AVX2, BMI1, BMI2, POPCNT, PCLMUL
extern const Kernels kNeonKernels;    // every aarch64

// The set in use.
const Kernels& Active();

}  // namespace entrofs::codec
