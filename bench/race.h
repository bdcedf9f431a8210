#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "bench/contender.h"
#include "bench/measure.h"

// Contenders on one input, in turns, in one process.
namespace entrofs::bench {

struct RaceOptions {
  std::vector<int> cpus = UsableCpus();  // to pin to: the first, and the first two
  size_t segment_bytes = codec::kDefaultSegmentBytes;
  int repeats = 7;
  // Contenders of other codecs stay out; empty takes all. Peers named in the ratios are kept in any case.
  std::vector<std::string> codecs;
};

// Rates in GB (1e9 bytes) of plain bytes per CPU second, medians over the repeats.
struct DecodeRates {
  double hot = 0;   // into one reused segment buffer
  double dram = 0;  // into memory that was not touched for longer than the caches remember
};

struct RaceResult {
  std::string codec;
  std::string kernel;
  double bits_per_byte = 0;
  DecodeRates one_core;
  DecodeRates two_cores;  // zero where there is only one CPU
  double encode = 0;
};

struct Race {
  std::string input;
  uint64_t plain_bytes = 0;
  double entropy_bits_per_byte = 0;  // order 0, per plane
  double clock_ghz = 0;              // median over the race, 0 if unknown
  std::vector<RaceResult> results;   // in the order of MakeContenders
};

// Codes `input` with every contender, checks that each decodes to the same bytes, then lets them run in turns:
// decoding on one core, on two, and encoding. The calling thread ends up pinned to cpus[0]. kCorrupt when
// a contender returns wrong bytes, naming it.
Result<Race> RunRace(const Input& input, const RaceOptions& options);

// How much faster `rate` is than the best `peer` on as many cores; 0 when that peer did not run.
double RatioTo(const Race& race, std::string_view peer, double rate, const DecodeRates RaceResult::*cores);

}  // namespace entrofs::bench
