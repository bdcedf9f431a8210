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
std::vector<unsigned> ShareStates(std::span<const uint64_t> weights) {
  const uint64_t total = std::accumulate(weights.begin(), weights.end(), uint64_t{0});
  std::vector<unsigned> share(weights.size(), 0);
  unsigned sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    share[i] = std::max(1u, static_cast<unsigned>(weights[i] * kStates / total));
    sum += share[i];
  }
  for (; sum < kStates; ++sum) {
    size_t best = weights.size();
    for (size_t i = 0; i < weights.size(); ++i) {
      if (share[i] == 0) continue;
      if (best == weights.size() || weights[i] * kLogs.step[share[i]] > weights[best] * kLogs.step[share[best]])
        best = i;
    }
    ++share[best];
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
  std::vector<unsigned> share = ShareStates(weights);
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

// Puts the states of each class where the decoder's state is likely to be when they are needed: state numbers ascend as
// the probability of the class at that precision, weight * log2(1 + 1/number), falls.
std::array<uint8_t, kStates> SpreadStates(std::span<const uint64_t> weights) {
  struct State {
    uint64_t key;
    uint8_t class_symbol;
  };
  std::vector<unsigned> share = ShareStates(weights);
  std::vector<State> states;
  for (size_t c = 0; c < share.size(); ++c) {
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

size_t OrderBytes(const ClassMap& map) {
  switch (map.order) {
    case ClassMap::Order::kZigzag:
      return 1;
    case ClassMap::Order::kList:
      return size_t{map.coded_classes} << map.raw_bits;
    case ClassMap::Order::kPairs:
      return map.nibble_costs.size();
    case ClassMap::Order::kClasses:
      return 256 / 8 * (8 - map.raw_bits);
  }
  return 0;
}

// `order` with these numbers of raw bits and coded classes. A list becomes a class per value where that is shorter.
ClassMap WithClasses(const ClassMap& order, unsigned raw_bits, unsigned coded) {
  ClassMap map = order;
  map.raw_bits = raw_bits;
  map.coded_classes = coded;
  if (order.order == ClassMap::Order::kList && raw_bits > 0) {
    map.order = ClassMap::Order::kClasses;
    if ((size_t{coded} << raw_bits) < OrderBytes(map)) map.order = ClassMap::Order::kList;
  }
  return map;
}

// Tries all numbers of coded classes for one number of raw bits; replaces `best` by what is better.
void FitClasses(CodecKind kind, const ClassMap& order, unsigned raw_bits, const Counts& counts, Candidate& best) {
  const unsigned classes = 256u >> raw_bits;
  std::vector<uint64_t> class_counts(classes, 0);
  for (unsigned rank = 0; rank < 256; ++rank) class_counts[rank >> raw_bits] += counts[order.value_of[rank]];
  const uint64_t total = std::accumulate(class_counts.begin(), class_counts.end(), uint64_t{0});
  // By number of coded classes: XLog of the classes beyond them.
  std::vector<uint64_t> beyond_xlog(classes + 1, 0);
  for (unsigned c = classes; c-- > 0;) beyond_xlog[c] = beyond_xlog[c + 1] + XLog(class_counts[c]);
  const uint64_t perfect = XLog(total) - beyond_xlog[0];

  uint64_t escapes = total;
  for (unsigned coded = 1; coded <= std::min(classes, kMaxClasses - 1); ++coded) {
    escapes -= class_counts[coded - 1];
    const ClassMap map = WithClasses(order, raw_bits, coded);
    const uint64_t around =
        escapes * kEscapePenalty + ((total * raw_bits) << kFraction) + ((OrderBytes(map) * 8) << kFraction);
    if (around + perfect >= best.cost) continue;
    std::vector<uint64_t> weights(class_counts.begin(), class_counts.begin() + coded);
    if (coded < classes) weights.push_back(escapes);
    const uint64_t escape_bits = XLog(escapes) - beyond_xlog[coded];
    const uint64_t cost = around + escape_bits + (kind == CodecKind::kTans ? TansCost(weights) : PrefixCost(weights));
    if (cost < best.cost) best = {map, std::move(weights), cost};
  }
}

Candidate FitOrder(CodecKind kind, const ClassMap& order, const Counts& counts) {
  Candidate best;
  for (unsigned raw_bits = 0; raw_bits <= kMaxRawBits; ++raw_bits) FitClasses(kind, order, raw_bits, counts, best);
  return best;
}

ClassMap ZigzagOrder(const Counts& counts) {
  ClassMap map;
  map.order = ClassMap::Order::kZigzag;
  std::array<uint64_t, 256> rank_cost;
  for (unsigned rank = 0; rank < 256; ++rank) rank_cost[rank] = Log2(rank + 1);
  uint64_t best_cost = std::numeric_limits<uint64_t>::max();
  uint8_t best_center = 0;
  for (int center = 0; center < 256; ++center) {
    map.center = static_cast<uint8_t>(center);
    map.FillOrder();
    uint64_t cost = 0;
    for (unsigned rank = 0; rank < 256; ++rank) cost += counts[map.value_of[rank]] * rank_cost[rank];
    if (cost < best_cost) {
      best_cost = cost;
      best_center = map.center;
    }
  }
  map.center = best_center;
  map.FillOrder();
  return map;
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
