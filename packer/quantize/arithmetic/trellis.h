#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "codec/codec.h"

// Trellis-coded quantization (TCQ; "dependent quantization" in video coding): the codes 1..255 around 128 are twice as
// fine as what is paid for. A machine of 64 states, driven by the codes, says for every weight whether its code must be
// even or odd, and the path of least error is found by the Viterbi algorithm. At equal bits that is worth 1.2 dB.
//
// What follows the path is kept in archives with codec::Layout::trellis, whose plane holds an index below 128 for every
// code; see docs/codec-format.md.
namespace entrofs::packer::quantize::arithmetic {

// Where a weight lies, in 128ths of a code, as the quantizer takes it.
inline constexpr int kPositionsPerCode = 128;

// positions[i] of weights[i] where a code is worth `scale`; weights beyond the codes come to lie at their ends.
void FindPositions(float scale, const float* weights, size_t count, uint16_t* positions);

class TrellisQuantizer {
 public:
  // `expected`: how often each index of a plane with codec::Layout::trellis will occur, about and to any scale; what
  // bits cost in error is judged by it.
  explicit TrellisQuantizer(const codec::Histogram& expected);

  // Memory of Round, of 8 bytes for each position.
  using Scratch = std::vector<uint8_t>;

  // Codes of least error and cost, of what begins where a segment does. With `comes_back` the machine ends in the state
  // it begins in, so that more codes of the same kind may follow; takes at least kLeastComingBack positions.
  void Round(std::span<const uint16_t> positions, bool comes_back, uint8_t* codes, Scratch& scratch) const;
  static constexpr size_t kLeastComingBack = 6;

 private:
  // Costs of the four codes nearest to a position, by their two low bits; in int16 because paths are found in
  // registers. The squared distance depends on the position modulo four codes alone, the bits on its code alone.
  struct alignas(8) Costs {
    int16_t of[4];
  };
  std::vector<Costs> distances_;
  std::vector<Costs> bits_;
};

// The plane of codec::Layout::trellis of codes that begin where a segment does: adds how often each index occurs.
void CountIndices(std::span<const uint8_t> codes, codec::Histogram& indices);

}  // namespace entrofs::packer::quantize::arithmetic
