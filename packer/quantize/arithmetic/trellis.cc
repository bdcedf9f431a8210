#include "packer/quantize/arithmetic/trellis.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "base/portable_math.h"
#include "packer/quantize/arithmetic/vector_clones.h"

namespace entrofs::packer::quantize::arithmetic {
namespace {

// What a bit may cost in squared distance, in codes: near the slope at which finer steps buy less error for bits.
constexpr double kErrorPerBit = 0.4;
// Of costs: a squared distance of one code.
constexpr double kCostUnit = 128;
// No index counts as rarer than this.
constexpr double kMostBits = 14;

constexpr int kMiddle = 128;
constexpr int kLowest = 1;
constexpr int kHighest = 255;

// Adding and taking away 1.5 * 2^23 rounds a float to an integer, ties to even.
constexpr float kRounder = 12582912.0f;

// The machine: state s has its b in the lowest bit, and with c, bit 1 of the code, goes to
// (s >> 1) ^ (b ? kAfterOdd : 0) ^ (c ? kAfterSecond : 0). The states are kept in four vectors of 16.
constexpr unsigned kStates = 64;
constexpr unsigned kAfterOdd = 0b100001;
constexpr unsigned kAfterSecond = 0b001010;
constexpr unsigned kLanes = 16;
constexpr unsigned kVectors = kStates / kLanes;
// Costs of other states than the first, before the first step: more than a path from the first can have cost when both
// first meet.
constexpr int16_t kFar = 16000;
// Steps after which costs are brought near zero, before the largest could overflow.
constexpr size_t kStepsTogether = 8;

using Lanes = int16_t __attribute__((vector_size(2 * kLanes)));
using ByteLanes = int8_t __attribute__((vector_size(kLanes)));

// One step of all states. For every new state there are two old ones, of the same b and of c = 0 and 1: state n comes
// from E[n] and E[n ^ kAfterSecond] if n < 32 or else, m = n - 32, from O[m ^ 1] and O[m ^ 1 ^ kAfterSecond], where
// E are the states with b = 0 and O those with b = 1. chosen[v]: -1 where it was the one with c = 1.
[[gnu::always_inline]] inline void Step(const int16_t* costs, Lanes (&paths)[kVectors], Lanes (&chosen)[kVectors]) {
  const Lanes even[2] = {
      __builtin_shufflevector(paths[0], paths[1], 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
      __builtin_shufflevector(paths[2], paths[3], 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)};
  const Lanes odd[2] = {
      __builtin_shufflevector(paths[0], paths[1], 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31),
      __builtin_shufflevector(paths[2], paths[3], 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)};
  for (unsigned v = 0; v < 2; ++v) {
    const Lanes first = even[v] + costs[0], far = even[v] + costs[2];
    const Lanes second = __builtin_shufflevector(far, far, 10, 11, 8, 9, 14, 15, 12, 13, 2, 3, 0, 1, 6, 7, 4, 5);
    chosen[v] = second < first;
    paths[v] = second < first ? second : first;
  }
  for (unsigned v = 0; v < 2; ++v) {
    const Lanes near = odd[v] + costs[1], far = odd[v] + costs[3];
    const Lanes first = __builtin_shufflevector(near, near, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    const Lanes second = __builtin_shufflevector(far, far, 11, 10, 9, 8, 15, 14, 13, 12, 3, 2, 1, 0, 7, 6, 5, 4);
    chosen[2 + v] = second < first;
    paths[2 + v] = second < first ? second : first;
  }
}

// Which old state was chosen for each new one, four vectors of a bit: bit v of lane i is that of state 16 v + i.
[[gnu::always_inline]] inline void PackChoices(const Lanes (&chosen)[kVectors], Lanes& packed) {
  packed = (chosen[0] & 1) | (chosen[1] & 2) | (chosen[2] & 4) | (chosen[3] & 8);
}

// Choices of two steps are 16 bytes: byte i has those of states i, 16 + i, ..., of the first step in its low half.
bool Choice(const uint8_t* choices, size_t step, unsigned state) {
  return (choices[step / 2 * kLanes + state % kLanes] >> (step % 2 * kVectors + state / kLanes) & 1) != 0;
}

// The costs of all paths of `count` positions, by state; fills `choices`, whose last step may have a twin.
ENTROFS_VECTOR_CLONES void FindPaths(const uint16_t* positions, size_t count, const int16_t (*distances)[4],
                                     const int16_t (*bits)[4], uint8_t* choices, int16_t* ends) {
  Lanes paths[kVectors];
  for (Lanes& path : paths) path = Lanes{} + kFar;
  paths[0][0] = 0;
  for (size_t t = 0; t < count; t += 2) {
    Lanes packed[2] = {};
    for (size_t i = 0; i < 2 && t + i < count; ++i) {
      const unsigned position = positions[t + i];
      const int16_t* distance = distances[position % (4 * kPositionsPerCode)];
      const int16_t* bit = bits[position / kPositionsPerCode];
      int16_t costs[4];
      for (unsigned r = 0; r < 4; ++r) costs[r] = static_cast<int16_t>(distance[r] + bit[r]);
      Lanes chosen[kVectors];
      Step(costs, paths, chosen);
      PackChoices(chosen, packed[i]);
    }
    const ByteLanes both = __builtin_convertvector(packed[0] | packed[1] << 4, ByteLanes);
    std::memcpy(choices + t / 2 * kLanes, &both, sizeof both);
    if (t % kStepsTogether == kStepsTogether - 2) {
      const int16_t least = paths[0][0];
      for (Lanes& path : paths) path -= least;
    }
  }
  for (unsigned s = 0; s < kStates; ++s) ends[s] = paths[s / kLanes][s % kLanes];
}

// The lowest of the four codes nearest to a position: one and a fraction below it.
int LowestOf(unsigned position) { return static_cast<int>(position / kPositionsPerCode) - 1; }

}  // namespace

ENTROFS_VECTOR_CLONES void FindPositions(float scale, const float* weights, size_t count, uint16_t* positions) {
  // All four codes must exist.
  constexpr float kFirst = (kLowest + 1) * kPositionsPerCode;
  constexpr float kLast = (kHighest - 1) * kPositionsPerCode - 1;
  for (size_t i = 0; i < count; ++i) {
    float position = weights[i] / scale * kPositionsPerCode + float{kMiddle} * kPositionsPerCode;
    position = position > kFirst ? position : kFirst;
    position = position < kLast ? position : kLast;
    positions[i] = static_cast<uint16_t>(static_cast<int>((position + kRounder) - kRounder));
  }
}

TrellisQuantizer::TrellisQuantizer(const codec::Histogram& expected)
    : distances_(4 * kPositionsPerCode), bits_(kHighest + 1) {
  double total = 0;
  for (uint64_t count : expected) total += static_cast<double>(count);
  auto bits_of = [&](int code) {
    const auto count = static_cast<double>(expected[static_cast<size_t>(code / 2)]);
    return count == 0 ? kMostBits : std::min(kMostBits, Log2(total / count));
  };
  for (unsigned position = 0; position < distances_.size(); ++position) {
    for (int j = 0; j < 4; ++j) {
      // Code `lowest + j`, whose low bits are those of `lowest + j + 4`.
      const double fraction = static_cast<double>(position % kPositionsPerCode) / kPositionsPerCode;
      const double distance = 1 + fraction - j;
      distances_[position].of[(LowestOf(position) + j + 4) % 4] =
          static_cast<int16_t>(std::lround(kCostUnit * distance * distance));
    }
  }
  for (int code = kLowest + 1; code < kHighest - 1; ++code) {
    for (int j = 0; j < 4; ++j) {
      bits_[static_cast<size_t>(code)].of[(code - 1 + j) % 4] =
          static_cast<int16_t>(std::lround(kCostUnit * kErrorPerBit * bits_of(code - 1 + j)));
    }
  }
}

void TrellisQuantizer::Round(std::span<const uint16_t> positions, bool comes_back, uint8_t* codes,
                             Scratch& scratch) const {
  if (positions.empty()) return;
  assert(!comes_back || positions.size() >= kLeastComingBack);
  scratch.resize((positions.size() + 1) / 2 * kLanes);
  int16_t ends[kStates];
  FindPaths(positions.data(), positions.size(), &distances_[0].of, &bits_[0].of, scratch.data(), ends);
  auto state = static_cast<unsigned>(comes_back ? 0 : std::min_element(ends, ends + kStates) - ends);
  for (size_t t = positions.size(); t-- > 0;) {
    const unsigned b = state / (kStates / 2), c = Choice(scratch.data(), t, state) ? 1 : 0;
    const unsigned before = (state ^ (b * kAfterOdd) ^ (c * kAfterSecond)) % (kStates / 2);
    state = 2 * before + b;
    const int lowest = LowestOf(positions[t]);
    codes[t] = static_cast<uint8_t>(lowest + static_cast<int>((2 * c + b - static_cast<unsigned>(lowest)) % 4));
  }
  assert(state == 0);
}

void CountIndices(std::span<const uint8_t> codes, codec::Histogram& indices) {
  codec::CountPlanes({.trellis = true}, codes, {&indices, 1});
}

}  // namespace entrofs::packer::quantize::arithmetic
