#include "codec/prefix_code.h"

#include <algorithm>
#include <numeric>

namespace entrofs::codec {
namespace {

std::vector<uint16_t> SymbolsByWeight(std::span<const uint64_t> weights) {
  std::vector<uint16_t> symbols;
  for (size_t s = 0; s < weights.size(); ++s) {
    if (weights[s] > 0) symbols.push_back(static_cast<uint16_t>(s));
  }
  std::stable_sort(symbols.begin(), symbols.end(), [&](uint16_t a, uint16_t b) { return weights[a] < weights[b]; });
  return symbols;
}

// One level of package-merge: what can be bought at this coin size, cheapest first.
struct Level {
  std::vector<uint64_t> weights;
  std::vector<uint8_t> is_symbol;  // else a pair of two items of the level before
};

Level MergeLevel(std::span<const uint64_t> symbol_weights, const Level& before) {
  Level level;
  size_t symbol = 0;
  size_t pair = 0;
  const size_t pairs = before.weights.size() / 2;
  level.weights.resize(symbol_weights.size() + pairs);
  level.is_symbol.resize(symbol_weights.size() + pairs);
  for (size_t item = 0; item < level.weights.size(); ++item) {
    uint64_t pair_weight = pair < pairs ? before.weights[2 * pair] + before.weights[2 * pair + 1] : 0;
    bool take_symbol = pair == pairs || (symbol < symbol_weights.size() && symbol_weights[symbol] <= pair_weight);
    level.weights[item] = take_symbol ? symbol_weights[symbol++] : pair_weight;
    if (!take_symbol) ++pair;
    level.is_symbol[item] = take_symbol;
  }
  return level;
}

}  // namespace

std::vector<uint8_t> LimitedLengths(std::span<const uint64_t> weights, unsigned max_bits) {
  std::vector<uint8_t> lengths(weights.size(), 0);
  std::vector<uint16_t> symbols = SymbolsByWeight(weights);
  if (symbols.size() == 1) lengths[symbols[0]] = 1;
  if (symbols.size() <= 1) return lengths;

  std::vector<uint64_t> sorted;
  sorted.reserve(symbols.size());
  for (uint16_t s : symbols) sorted.push_back(weights[s]);
  std::vector<Level> levels(max_bits);
  levels[0] = MergeLevel(sorted, Level{});
  for (unsigned bits = 1; bits < max_bits; ++bits) levels[bits] = MergeLevel(sorted, levels[bits - 1]);

  // Buying the first `take` items of a level lengthens the codes of the symbols among them and buys pairs below.
  size_t take = 2 * symbols.size() - 2;
  for (unsigned bits = max_bits; bits-- > 0;) {
    size_t taken_symbols = 0;
    for (size_t i = 0; i < take; ++i) taken_symbols += levels[bits].is_symbol[i];
    for (size_t i = 0; i < taken_symbols; ++i) ++lengths[symbols[i]];
    take = 2 * (take - taken_symbols);
  }
  return lengths;
}

bool IsCompleteCode(std::span<const uint8_t> lengths, unsigned max_bits) {
  uint64_t used = 0;
  size_t symbols = 0;
  uint8_t longest = 0;
  for (uint8_t length : lengths) {
    if (length > max_bits) return false;
    if (length == 0) continue;
    used += uint64_t{1} << (max_bits - length);
    longest = std::max(longest, length);
    ++symbols;
  }
  return symbols == 1 ? longest == 1 : used == uint64_t{1} << max_bits;
}

std::vector<uint16_t> CodeWords(std::span<const uint8_t> lengths) {
  std::vector<uint16_t> words(lengths.size(), 0);
  uint32_t next = 0;
  for (unsigned bits = 1; bits < 16; ++bits) {
    next <<= 1;
    for (size_t s = 0; s < lengths.size(); ++s) {
      if (lengths[s] != bits) continue;
      for (unsigned b = 0; b < bits; ++b) words[s] |= static_cast<uint16_t>((next >> b & 1) << (bits - 1 - b));
      ++next;
    }
  }
  return words;
}

std::vector<uint8_t> CodeBits(std::span<const uint8_t> lengths) {
  std::vector<uint8_t> bits(lengths.begin(), lengths.end());
  if (std::count(bits.begin(), bits.end(), 0) + 1 == static_cast<ptrdiff_t>(bits.size())) {
    std::fill(bits.begin(), bits.end(), 0);
  }
  return bits;
}

}  // namespace entrofs::codec
