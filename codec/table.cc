#include "codec/table.h"

#include <bit>
#include <cmath>

#include "codec/prefix_code.h"

namespace entrofs::codec {
namespace {

constexpr double kNotCodableBits = 64;

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
  const ClassMap& map = model.map;
  std::array<unsigned, kMaxClasses> frequency = {};
  if (model.kind == CodecKind::kTans) {
    TansTransitions transitions = MakeTransitions(model.state_class);
    for (unsigned state = 0; state < kStates; ++state) {
      uint8_t c = model.state_class[state];
      ++frequency[c];
      last_state[c] = static_cast<uint8_t>(state);
      unsigned bits = transitions.bit_count[state];
      for (unsigned low = 0; low < (1u << bits); ++low) {
        transition[c][transitions.next_base[state] + low] = static_cast<uint16_t>(bits << 8 | state);
      }
    }
  } else {
    std::vector<uint16_t> words = CodeWords(model.class_lengths);
    std::vector<uint8_t> bits = CodeBits(model.class_lengths);
    for (size_t c = 0; c < words.size(); ++c) {
      frequency[c] = model.class_lengths[c];
      class_word[c] = bits[c] > 0 ? words[c] : 0;
      class_bits[c] = bits[c];
    }
  }
  std::vector<uint16_t> words = CodeWords(model.escape_lengths);
  std::vector<uint8_t> bits = CodeBits(model.escape_lengths);
  for (size_t i = 0; i < words.size(); ++i) {
    escape_word[map.coded_classes + i] = bits[i] > 0 ? words[i] : 0;
    escape_bits[map.coded_classes + i] = bits[i];
  }
  for (int value = 0; value < 256; ++value) {
    unsigned class_number = map.rank_of[value] >> map.raw_bits;
    bool escapes = class_number >= map.coded_classes;
    unsigned symbol = escapes ? map.escape_class() : class_number;
    bool codable = frequency[symbol] > 0 && (!escapes || model.escape_lengths[class_number - map.coded_classes] > 0);
    class_of[value] = codable ? static_cast<uint8_t>(symbol) : kNoClass;
    double class_cost = model.kind == CodecKind::kTans ? std::log2(static_cast<double>(kStates) / frequency[symbol])
                                                       : class_bits[symbol];
    cost_bits[value] =
        codable ? class_cost + map.raw_bits + (escapes ? escape_bits[class_number] : 0) : kNotCodableBits;
  }
}

DecodeTable::DecodeTable(const TableModel& model) : kind(model.kind), tans(MakeTansTables(model)) {
  const ClassMap& map = model.map;
  if (model.has_escapes()) {
    escape_lookup = FillLookup<uint16_t>(model.escape_lengths, kMaxEscapeBits, [&](size_t symbol, unsigned bits) {
      return static_cast<uint16_t>(map.HeldByte(static_cast<unsigned>(map.coded_classes + symbol)) | bits << 8);
    });
  }
  if (kind != CodecKind::kHuffman) return;
  std::vector<uint16_t> single = FillLookup<uint16_t>(
      model.class_lengths, kMaxClassCodeBits,
      [&](size_t symbol, unsigned bits) { return static_cast<uint16_t>(HeldByteOfSymbol(map, symbol) | bits << 8); });
  pair_lookup.resize(single.size() * single.size());
  for (size_t at = 0; at < pair_lookup.size(); ++at) {
    uint32_t first = single[at & (single.size() - 1)];
    uint32_t second = single[(at >> (first >> 8)) & (single.size() - 1)];
    pair_lookup[at] = ((first >> 8) + (second >> 8)) | (first & 0xff) << 8 | (second & 0xff) << 16 | first >> 8 << 24;
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
