// Fits a table to a histogram. Integer arithmetic only, so that every CPU and C library gives the same table.

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <span>

#include "codec/prefix_code.h"
#include "codec/table.h"

namespace entrofs::codec {
namespace {

// Bits are counted in 1/65536 here.
constexpr unsigned kFraction = 16;
constexpr uint64_t kOneBit = uint64_t{1} << kFraction;
// What an escape is taken to cost beyond its bits: time in the decoder.
constexpr uint64_t kEscapePenalty = kOneBit / 2;
// Zigzag tables decode faster than others with raw bits, and pair tables are smaller than lists; they may cost this
// fraction more.
constexpr uint64_t kTolerance = 1000;
// Histograms are scaled down to this many counted bytes, so that sums of products fit in 64 bits.
constexpr uint64_t kMaxCount = uint64_t{1} << 32;

// log2(x) in 1/65536. Requires: x > 0.
uint64_t Log2(uint64_t x) {
  unsigned whole = static_cast<unsigned>(std::bit_width(x)) - 1;
  uint64_t mantissa = whole >= 31 ? x >> (whole - 31) : x << (31 - whole);
  uint64_t result = whole;
  for (unsigned i = 0; i < kFraction; ++i) {
    mantissa = mantissa * mantissa >> 31;
    uint64_t bit = mantissa >> 32;
    mantissa >>= bit;
    result = result << 1 | bit;
  }
  return result;
}

// log2(n) for 1 <= n <= 64, and log2((n + 1) / n), both in 1/65536.
struct SmallLogs {
  std::array<uint64_t, kStates + 2> of = {};
  std::array<uint64_t, kStates + 1> step = {};
  SmallLogs() {
    for (unsigned n = 1; n < of.size(); ++n) of[n] = Log2(n);
    for (unsigned n = 1; n < step.size(); ++n) step[n] = of[n + 1] - of[n];
  }
};
const SmallLogs kLogs;

using Counts = std::array<uint64_t, 256>;

Counts ScaleCounts(const Histogram& histogram) {
  Counts counts = histogram;
  uint64_t total = 0;
  for (uint64_t count : counts) total += count;
  if (total == 0) counts.fill(1);
  unsigned shift = 0;
  while (total >> shift >= kMaxCount) ++shift;
  for (uint64_t& count : counts) {
    if (count > 0) count = std::max<uint64_t>(count >> shift, 1);
  }
  return counts;
}

// count * log2(count), 0 for 0: a perfect code of parts w of a total takes XLog(total) - sum of XLog(w).
uint64_t XLog(uint64_t count) { return count == 0 ? 0 : count * Log2(count); }

// How many of the 64 states each class gets; none for weight 0. Requires: at most 64 positive weights, one at least.
using Shares = std::array<unsigned, kMaxClasses>;
Shares ShareStates(std::span<const uint64_t> weights) {
  const uint64_t total = std::accumulate(weights.begin(), weights.end(), uint64_t{0});
  Shares share = {};
  unsigned sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    share[i] = std::max(1u, static_cast<unsigned>(weights[i] * kStates / total));
    sum += share[i];
  }
  // What one more state would save each class.
  std::array<uint64_t, kMaxClasses> savings;
  if (sum < kStates) {
    for (size_t i = 0; i < weights.size(); ++i) savings[i] = share[i] == 0 ? 0 : weights[i] * kLogs.step[share[i]];
  }
  for (; sum < kStates; ++sum) {
    const auto best = static_cast<size_t>(
        std::max_element(savings.begin(), savings.begin() + static_cast<ptrdiff_t>(weights.size())) - savings.begin());
    ++share[best];
    savings[best] = weights[best] * kLogs.step[std::min<unsigned>(share[best], kStates)];
  }
  for (; sum > kStates; --sum) {
    size_t best = weights.size();
    for (size_t i = 0; i < weights.size(); ++i) {
      if (share[i] <= 1) continue;
      if (best == weights.size() ||
          weights[i] * kLogs.step[share[i] - 1] < weights[best] * kLogs.step[share[best] - 1]) {
        best = i;
      }
    }
    --share[best];
  }
  return share;
}

uint64_t TansCost(std::span<const uint64_t> weights) {
  const Shares share = ShareStates(weights);
  uint64_t bits = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] > 0) bits += weights[i] * (kLogs.of[kStates] - kLogs.of[share[i]]);
  }
  return bits;
}

uint64_t PrefixCost(std::span<const uint64_t> weights) {
  std::vector<uint8_t> bits = CodeBits(LimitedLengths(weights, kMaxClassCodeBits));
  uint64_t sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) sum += weights[i] * bits[i];
  return sum << kFraction;
}

// What a prefix code of any length takes, which PrefixCost cannot beat.
uint64_t LeastPrefixCost(std::span<const uint64_t> weights) {
  std::array<uint64_t, kMaxClasses> leaves;
  size_t leaf_count = 0;
  for (uint64_t weight : weights) {
    if (weight > 0) leaves[leaf_count++] = weight;
  }
  std::sort(leaves.begin(), leaves.begin() + static_cast<ptrdiff_t>(leaf_count));
  // Pairs are made in the order of their weights.
  std::array<uint64_t, kMaxClasses> pairs;
  size_t leaf = 0, pair = 0, pair_count = 0;
  auto take_least = [&] {
    const bool takes_leaf = pair == pair_count || (leaf < leaf_count && leaves[leaf] <= pairs[pair]);
    return takes_leaf ? leaves[leaf++] : pairs[pair++];
  };
  uint64_t sum = 0;
  while (pair_count + 1 < leaf_count) {
    const uint64_t first = take_least(), second = take_least();
    pairs[pair_count++] = first + second;
    sum += first + second;
  }
  return sum << kFraction;
}

// Puts the states of each class where the decoder's state is likely to be when they are needed: state numbers ascend as
// the probability of the class at that precision, weight * log2(1 + 1/number), falls.
std::array<uint8_t, kStates> SpreadStates(std::span<const uint64_t> weights) {
  struct State {
    uint64_t key;
    uint8_t class_symbol;
  };
  const Shares share = ShareStates(weights);
  std::vector<State> states;
  for (size_t c = 0; c < weights.size(); ++c) {
    for (unsigned number = share[c]; number < 2 * share[c]; ++number) {
      uint64_t log = Log2((uint64_t{number} + 1) << 24) - Log2(uint64_t{number} << 24);
      states.push_back({weights[c] * log, static_cast<uint8_t>(c)});
    }
  }
  std::stable_sort(states.begin(), states.end(), [](const State& a, const State& b) { return a.key > b.key; });
  std::array<uint8_t, kStates> state_class;
  for (unsigned i = 0; i < kStates; ++i) state_class[i] = states[i].class_symbol;
  return state_class;
}

// A class map being tried, with the counts of its classes.
struct Candidate {
  ClassMap map;
  std::vector<uint64_t> weights;  // of class symbols
  uint64_t cost = std::numeric_limits<uint64_t>::max();
};

size_t OrderBytes(ClassMap::Order order, unsigned raw_bits, unsigned coded) {
  switch (order) {
    case ClassMap::Order::kZigzag:
      return 1;
    case ClassMap::Order::kList:
      return size_t{coded} << raw_bits;
    case ClassMap::Order::kPairs:
      return sizeof(ClassMap::nibble_costs);
    case ClassMap::Order::kClasses:
      return 256 / 8 * (8 - raw_bits);
  }
  return 0;
}

// How `order` is written with these numbers of raw bits and coded classes: a list becomes a class per value where that
// is shorter.
ClassMap::Order OrderWithClasses(ClassMap::Order order, unsigned raw_bits, unsigned coded) {
  if (order != ClassMap::Order::kList || raw_bits == 0) return order;
  const size_t classes_bytes = OrderBytes(ClassMap::Order::kClasses, raw_bits, coded);
  return (size_t{coded} << raw_bits) < classes_bytes ? order : ClassMap::Order::kClasses;
}

// The classes of one number of raw bits, and sums that tell what any number of coded classes costs at least.
struct ClassSums {
  std::vector<uint64_t> counts;
  std::vector<uint64_t> beyond;       // by number of coded classes: counts of the others
  std::vector<uint64_t> beyond_xlog;  // the same of their XLog
  uint64_t total = 0;
  uint64_t perfect =
      0;  // bits of a perfect code for all classes, which a code for the coded ones and an escape cannot beat

  ClassSums(const ClassMap& order, unsigned raw_bits, const Counts& values) {
    const unsigned classes = 256u >> raw_bits;
    counts.resize(classes, 0);
    for (unsigned rank = 0; rank < 256; ++rank) counts[rank >> raw_bits] += values[order.value_of[rank]];
    beyond.resize(classes + 1, 0);
    beyond_xlog.resize(classes + 1, 0);
    for (unsigned c = classes; c-- > 0;) {
      beyond[c] = beyond[c + 1] + counts[c];
      beyond_xlog[c] = beyond_xlog[c + 1] + XLog(counts[c]);
    }
    total = beyond[0];
    perfect = XLog(total) - beyond_xlog[0];
  }
};

// A number of raw bits and of coded classes, with all that they cost but the class and escape codes.
struct Choice {
  unsigned raw_bits = 0;
  unsigned coded = 0;
  uint64_t around = 0;
  uint64_t least = 0;  // what the whole costs at least
};

// The counts of the class symbols.
std::vector<uint64_t> WeightsOf(const Choice& choice, const ClassSums& sums) {
  std::vector<uint64_t> weights(sums.counts.begin(), sums.counts.begin() + choice.coded);
  if (choice.coded < sums.counts.size()) weights.push_back(sums.beyond[choice.coded]);
  return weights;
}

// What the choice costs, or something above `limit` when that is more.
uint64_t CostOf(CodecKind kind, const Choice& choice, const ClassSums& sums, uint64_t limit) {
  const std::vector<uint64_t> weights = WeightsOf(choice, sums);
  const uint64_t other = choice.around + XLog(sums.beyond[choice.coded]) - sums.beyond_xlog[choice.coded];
  if (kind == CodecKind::kTans) return other + TansCost(weights);
  const uint64_t least = other + LeastPrefixCost(weights);
  return least > limit ? least : other + PrefixCost(weights);
}

// The best numbers of raw bits and coded classes; of equally good ones the smaller. Those that promise most are tried
// first, and none that cannot be better than what was found.
Candidate FitOrder(CodecKind kind, const ClassMap& order, const Counts& counts) {
  std::vector<ClassSums> sums;
  std::vector<Choice> choices;
  for (unsigned raw_bits = 0; raw_bits <= kMaxRawBits; ++raw_bits) {
    const ClassSums& classes = sums.emplace_back(order, raw_bits, counts);
    const auto most = static_cast<unsigned>(std::min<size_t>(classes.counts.size(), kMaxClasses - 1));
    for (unsigned coded = 1; coded <= most; ++coded) {
      const uint64_t order_bytes = OrderBytes(OrderWithClasses(order.order, raw_bits, coded), raw_bits, coded);
      const uint64_t around = classes.beyond[coded] * kEscapePenalty + ((classes.total * raw_bits) << kFraction) +
                              ((order_bytes * 8) << kFraction);
      choices.push_back({raw_bits, coded, around, around + classes.perfect});
    }
  }
  std::stable_sort(choices.begin(), choices.end(), [](const Choice& a, const Choice& b) { return a.least < b.least; });
  uint64_t least_cost = std::numeric_limits<uint64_t>::max();
  Choice best;
  for (const Choice& choice : choices) {
    if (choice.least > least_cost) break;
    const uint64_t cost = CostOf(kind, choice, sums[choice.raw_bits], least_cost);
    if (cost > least_cost) continue;
    if (cost == least_cost && std::pair(choice.raw_bits, choice.coded) > std::pair(best.raw_bits, best.coded)) continue;
    least_cost = cost;
    best = choice;
  }
  Candidate candidate{order, WeightsOf(best, sums[best.raw_bits]), least_cost};
  candidate.map.order = OrderWithClasses(order.order, best.raw_bits, best.coded);
  candidate.map.raw_bits = best.raw_bits;
  candidate.map.coded_classes = best.coded;
  return candidate;
}

ClassMap ListOrder(const Counts& counts) {
  ClassMap map;
  map.order = ClassMap::Order::kList;
  std::iota(map.value_of.begin(), map.value_of.end(), uint8_t{0});
  std::stable_sort(map.value_of.begin(), map.value_of.end(),
                   [&](uint8_t a, uint8_t b) { return counts[a] > counts[b]; });
  map.FillRanks();
  return map;
}

ClassMap ZigzagOrder(const Counts& counts) {
  ClassMap map;
  map.order = ClassMap::Order::kZigzag;
  map.FillOrder();
  // By the distance of a value from the centre, modulo 256: what its rank costs.
  std::array<uint64_t, 256> distance_cost;
  for (unsigned distance = 0; distance < 256; ++distance) {
    distance_cost[distance] = Log2(map.rank_of[static_cast<uint8_t>(map.center + distance)] + 1);
  }
  // The most frequent values first, so that a bad centre soon costs more than the best one; of equally good ones the
  // lowest.
  const ClassMap by_count = ListOrder(counts);
  uint64_t best_cost = std::numeric_limits<uint64_t>::max();
  for (unsigned center = 0; center < 256; ++center) {
    uint64_t cost = 0;
    for (unsigned rank = 0; rank < 256 && cost < best_cost; ++rank) {
      const uint8_t value = by_count.value_of[rank];
      if (counts[value] == 0) break;
      cost += counts[value] * distance_cost[static_cast<uint8_t>(value - center)];
    }
    if (cost < best_cost) {
      best_cost = cost;
      map.center = static_cast<uint8_t>(center);
    }
  }
  map.FillOrder();
  return map;
}

ClassMap PairsOrder(const Counts& counts) {
  ClassMap map;
  map.order = ClassMap::Order::kPairs;
  std::array<uint64_t, 32> nibbles = {};
  for (unsigned value = 0; value < 256; ++value) {
    nibbles[value & 15] += counts[value];
    nibbles[16 + (value >> 4)] += counts[value];
  }
  const uint64_t total = std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  for (unsigned i = 0; i < 32; ++i) {
    uint64_t bits = nibbles[i] == 0 ? 255 * kOneBit : Log2(total) - Log2(nibbles[i]);
    map.nibble_costs[i] = static_cast<uint8_t>(std::min<uint64_t>(bits * 16 >> kFraction, 255));
  }
  map.FillOrder();
  return map;
}

}  // namespace

TableModel FitModel(CodecKind kind, const Histogram& histogram) {
  const Counts counts = ScaleCounts(histogram);
  Candidate best = FitOrder(kind, ListOrder(counts), counts);
  Candidate zigzag = FitOrder(kind, ZigzagOrder(counts), counts);
  if (zigzag.cost <= best.cost + best.cost / kTolerance) {
    best = std::move(zigzag);
  } else if (best.map.raw_bits > 0) {
    Candidate pairs = FitOrder(kind, PairsOrder(counts), counts);
    if (pairs.cost <= best.cost + best.cost / kTolerance) best = std::move(pairs);
  }

  TableModel model;
  model.kind = kind;
  model.map = best.map;
  // The order a decoder derives differs from a list by frequency in the ranks that are not listed.
  model.map.FillOrder();
  if (kind == CodecKind::kTans) {
    model.state_class = SpreadStates(best.weights);
  } else {
    model.class_lengths = LimitedLengths(best.weights, kMaxClassCodeBits);
  }
  if (model.has_escapes()) {
    std::vector<uint64_t> beyond(model.map.class_count() - model.map.coded_classes, 0);
    for (unsigned rank = model.map.coded_classes << model.map.raw_bits; rank < 256; ++rank) {
      beyond[(rank >> model.map.raw_bits) - model.map.coded_classes] += counts[model.map.value_of[rank]];
    }
    model.escape_lengths = LimitedLengths(beyond, kMaxEscapeBits);
  }
  return model;
}

}  // namespace entrofs::codec
