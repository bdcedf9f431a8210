#include "codec/table.h"

#include <algorithm>
#include <bit>

#include "base/portable_math.h"
#include "codec/prefix_code.h"

namespace entrofs::codec {
namespace {

constexpr double kNotCodableBits = 64;

// Bits still in the lanes' windows at the end are wasted, and before each bulk round at least 25 are loaded. Tail
// rounds load on demand, so the tail should last about as long as the windows do. `bit_sum`: over all states.
size_t TailRounds(unsigned bit_sum) {
  constexpr unsigned kWindowBits = 22;
  constexpr unsigned kMaxTailRounds = 16;
  const unsigned bits_per_round = 4 * bit_sum;  // of one lane, in 1/64
  return std::clamp((kWindowBits * kStates + bits_per_round / 2) / std::max(bits_per_round, 1u), 1u, kMaxTailRounds);
}

// Fills a lookup over the next `bits` bits with value(symbol) for each code word it begins with.
template <typename Entry, typename Value>
std::vector<Entry> FillLookup(const std::vector<uint8_t>& lengths, unsigned bits, Value value) {
  std::vector<Entry> lookup(size_t{1} << bits);
  std::vector<uint16_t> words = CodeWords(lengths);
  std::vector<uint8_t> code_bits = CodeBits(lengths);
  for (size_t symbol = 0; symbol < lengths.size(); ++symbol) {
    if (lengths[symbol] == 0) continue;
    for (size_t at = words[symbol] * (code_bits[symbol] > 0); at < lookup.size();
         at += size_t{1} << code_bits[symbol]) {
      lookup[at] = value(symbol, code_bits[symbol]);
    }
  }
  return lookup;
}

// The code words of these lengths, for symbols from `first` on.
void FillCodes(const std::vector<uint8_t>& lengths, size_t first, CodeTable& codes) {
  const std::vector<uint16_t> words = CodeWords(lengths);
  const std::vector<uint8_t> bits = CodeBits(lengths);
  for (size_t i = 0; i < lengths.size(); ++i) codes[first + i] = bits[i] > 0 ? MakeCode(words[i], bits[i]) : 0;
}

uint8_t HeldByteOfSymbol(const ClassMap& map, size_t symbol) {
  return symbol < map.coded_classes ? map.HeldByte(static_cast<unsigned>(symbol)) : map.EscapeMarker();
}

TansTables MakeTansTables(const TableModel& model) {
  TansTables tables = {};
  tables.finish = MakeFinishTables(model.map, model.has_escapes());
  if (model.kind != CodecKind::kTans) return tables;
  TansTransitions transitions = MakeTransitions(model.state_class);
  for (unsigned state = 0; state < kStates; ++state) {
    uint8_t bits = transitions.bit_count[state];
    uint8_t base = transitions.next_base[state];
    tables.bit_count[state] = bits;
    tables.next_base[state] = base;
    tables.held[state] = HeldByteOfSymbol(model.map, model.state_class[state]);
    tables.next_prefix[state] = static_cast<uint8_t>(base >> bits);
    tables.base_and_bits[state] = static_cast<uint8_t>(2 * base + (1 << bits));
  }
  return tables;
}

// Tables for codes of these lengths of at most `max_bits`. held(symbol): the held byte.
template <typename Tables, typename Held>
std::unique_ptr<const Tables> MakePrefixTables(const std::vector<uint8_t>& lengths, unsigned max_bits, Held held) {
  struct Code {
    uint8_t held;
    uint8_t bits;
  };
  const std::vector<Code> first = FillLookup<Code>(lengths, max_bits, [&](size_t symbol, unsigned bits) {
    return Code{held(symbol), static_cast<uint8_t>(bits)};
  });
  auto tables = std::make_unique<Tables>();
  for (size_t i = 0; i < first.size(); ++i) tables->first_bits[i] = first[i].bits;
  for (uint32_t at = 0; at < Tables::kLookupSize; ++at) {
    uint32_t bits = 0;
    uint32_t bytes = 0;
    uint32_t number = 0;
    for (; number < Tables::kMostCodes; ++number) {
      const Code next = first[(at >> bits) % first.size()];
      // One that fits is not one of those that the missing bits, taken for zeros, made up.
      if (bits + next.bits > Tables::kLookupBits) break;
      bytes |= static_cast<uint32_t>(next.held) << (8 * number);
      bits += next.bits;
    }
    tables->lookup[at] = bits | bytes << 6 | number << 30;
  }
  return tables;
}

}  // namespace

TansTransitions MakeTransitions(const std::array<uint8_t, kStates>& state_class) {
  std::array<unsigned, kMaxClasses> next = {};
  for (uint8_t c : state_class) ++next[c];
  TansTransitions transitions;
  for (unsigned state = 0; state < kStates; ++state) {
    unsigned number = next[state_class[state]]++;  // frequency .. 2 * frequency - 1
    unsigned bits = 7 - static_cast<unsigned>(std::bit_width(number));
    transitions.bit_count[state] = static_cast<uint8_t>(bits);
    transitions.next_base[state] = static_cast<uint8_t>((number << bits) - kStates);
  }
  return transitions;
}

EncodeTable::EncodeTable(TableModel table_model) : model(std::move(table_model)), serialized(SerializeModel(model)) {
  if (model.kind == CodecKind::kTans) {
    FillTans();
  } else {
    FillHuffman();
  }
  FillEscapes();
  FillValues();
}

void EncodeTable::FillTans() {
  const TansTransitions transitions = MakeTransitions(model.state_class);
  std::array<std::vector<uint8_t>, kMaxClasses> states_of;
  unsigned bit_sum = 0;
  for (unsigned state = 0; state < kStates; ++state) {
    const uint8_t c = model.state_class[state];
    states_of[c].push_back(static_cast<uint8_t>(state));
    last_state[c] = static_cast<uint8_t>(state);
    const unsigned bits = transitions.bit_count[state];
    bit_sum += bits;
    for (unsigned low = 0; low < (1u << bits); ++low) {
      tans.transition[c][transitions.next_base[state] + low] = bits | low << 8 | state << 16;
    }
  }
  unsigned start = 0;
  for (unsigned c = 0; c < kMaxClasses; ++c) {
    const unsigned frequency = static_cast<unsigned>(states_of[c].size());
    if (frequency == 0) continue;
    const unsigned bits = 6 - (static_cast<unsigned>(std::bit_width(frequency)) - 1);
    // 64 + state >> bits must come out below 2 * frequency; one bit more is needed for this and larger states.
    const unsigned least_bits = std::has_single_bit(frequency) ? bits : bits - 1;
    tans.bit_base[c] = static_cast<uint8_t>(least_bits);
    tans.threshold[c] = static_cast<uint8_t>((frequency << (least_bits + 1)) - kStates);
    tans.offset[c] = static_cast<uint8_t>(start - frequency);
    for (uint8_t state : states_of[c]) tans.state_of[start++] = state;
  }
  tans.symbols = static_cast<uint8_t>(model.class_symbols());
  tail_rounds = TailRounds(bit_sum);
}

void EncodeTable::FillHuffman() { FillCodes(model.class_lengths, 0, class_codes); }

void EncodeTable::FillEscapes() { FillCodes(model.escape_lengths, model.map.coded_classes, escape_codes); }

void EncodeTable::FillValues() {
  const ClassMap& map = model.map;
  std::array<double, kMaxClasses> symbol_bits;
  symbol_bits.fill(kNotCodableBits);
  for (unsigned c = 0; c < model.class_symbols(); ++c) {
    if (model.kind == CodecKind::kHuffman) {
      if (model.class_lengths[c] > 0) symbol_bits[c] = class_codes[c] >> 16;
    } else if (auto frequency = std::ranges::count(model.state_class, c); frequency > 0) {
      symbol_bits[c] = Log2(static_cast<double>(kStates) / static_cast<double>(frequency));
    }
  }
  classify.raw_bits = static_cast<uint8_t>(map.raw_bits);
  classify.escape_symbol = static_cast<uint8_t>(model.has_escapes() ? map.escape_class() : kMaxClasses);
  classify.all_coded = std::all_of(symbol_bits.begin(), symbol_bits.begin() + map.coded_classes,
                                   [](double bits) { return bits != kNotCodableBits; });
  classify.is_zigzag = map.order == ClassMap::Order::kZigzag;
  classify.center = map.center;
  classify.coded_classes = static_cast<uint8_t>(map.coded_classes);
  for (unsigned value = 0; value < 256; ++value) {
    const unsigned class_number = map.rank_of[value] >> map.raw_bits;
    const bool escapes = class_number >= map.coded_classes;
    const unsigned symbol = escapes ? map.escape_class() : class_number;
    const bool codable = symbol_bits[symbol] != kNotCodableBits &&
                         (!escapes || model.escape_lengths[class_number - map.coded_classes] > 0);
    classify.class_has_code[class_number] = codable;
    classify.rank_of_value[value] = map.rank_of[value];
    classify.symbol_of_value[value] = codable ? static_cast<uint8_t>(symbol) : kNoSymbol;
    cost_bits[value] = !codable ? kNotCodableBits
                                : symbol_bits[symbol] + map.raw_bits + (escapes ? escape_codes[class_number] >> 16 : 0);
  }
}

DecodeTable::DecodeTable(const TableModel& model) : kind(model.kind), tans(MakeTansTables(model)) {
  const ClassMap& map = model.map;
  if (model.has_escapes()) {
    escapes = MakePrefixTables<EscapeTables>(model.escape_lengths, kMaxEscapeBits, [&](size_t symbol) {
      return map.HeldByte(static_cast<unsigned>(map.coded_classes + symbol));
    });
  }
  if (kind == CodecKind::kHuffman) {
    prefix = MakePrefixTables<PrefixTables>(model.class_lengths, kMaxClassCodeBits,
                                            [&](size_t symbol) { return HeldByteOfSymbol(map, symbol); });
  }
}

std::shared_ptr<const EncodeTable> BuildTable(CodecKind kind, const Histogram& histogram) {
  return std::make_shared<const EncodeTable>(FitModel(kind, histogram));
}

ByteSpan SerializedTable(const EncodeTable& table) { return table.serialized; }

double EstimateBits(const EncodeTable& table, const Histogram& histogram) {
  double bits = 0;
  for (int value = 0; value < 256; ++value) bits += static_cast<double>(histogram[value]) * table.cost_bits[value];
  return bits;
}

Result<std::shared_ptr<const DecodeTable>> ParseTable(CodecKind kind, ByteSpan serialized) {
  ENTROFS_ASSIGN_OR_RETURN(TableModel model, ParseModel(kind, serialized));
  return std::make_shared<const DecodeTable>(model);
}

}  // namespace entrofs::codec
