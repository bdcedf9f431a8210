// TableModel <-> bytes. See docs/codec-format.md, "Tables"; change both together.

#include <algorithm>
#include <bit>
#include <string>

#include "codec/bits.h"
#include "codec/prefix_code.h"
#include "codec/table.h"

namespace entrofs::codec {
namespace {

constexpr unsigned kRawBitsField = 3;
constexpr unsigned kOrderField = 2;
constexpr unsigned kClassLengthBits = 3;
// Nibbles of the escape lengths that are no length: a run follows in the next nibble.
constexpr uint32_t kRepeatLast = 12;
constexpr uint32_t kRepeatZero = 13;
constexpr size_t kShortestRun = 3;
constexpr size_t kLongestRun = kShortestRun + 15;

Error Corrupt(std::string_view what) { return Error{ErrorCode::kCorrupt, std::string("table: ").append(what)}; }

// Bits that hold a class number of a tans table.
unsigned StateClassBits(const TableModel& model) {
  return static_cast<unsigned>(std::bit_width(model.class_symbols() - 1));
}

void WriteEscapeLengths(const std::vector<uint8_t>& lengths, std::vector<uint8_t>& out) {
  BitWriter bits(out);
  for (size_t i = 0; i < lengths.size();) {
    size_t end = i;
    while (end < lengths.size() && lengths[end] == lengths[i]) ++end;
    bool is_repeat = i > 0 && lengths[i - 1] == lengths[i];
    size_t run = std::min(end - i, kLongestRun);
    if ((is_repeat || lengths[i] == 0) && run >= kShortestRun) {
      bits.Put(lengths[i] == 0 ? kRepeatZero : kRepeatLast, 4);
      bits.Put(static_cast<uint32_t>(run - kShortestRun), 4);
      i += run;
    } else {
      bits.Put(lengths[i++], 4);
    }
  }
  bits.Flush();
}

// Reads `count` lengths; false when they are not written in the one way WriteEscapeLengths writes them.
bool ReadEscapeLengths(ByteSpan bytes, size_t count, std::vector<uint8_t>& lengths) {
  BitReader bits(bytes);
  while (lengths.size() < count) {
    uint32_t nibble = bits.Get(4);
    if (nibble <= kMaxEscapeBits) {
      lengths.push_back(static_cast<uint8_t>(nibble));
    } else if (nibble == kRepeatZero || (nibble == kRepeatLast && !lengths.empty())) {
      size_t run = bits.Get(4) + kShortestRun;
      if (run > count - lengths.size()) return false;
      lengths.resize(lengths.size() + run, nibble == kRepeatZero ? 0 : lengths.back());
    } else {
      return false;
    }
  }
  std::vector<uint8_t> written;
  WriteEscapeLengths(lengths, written);
  return std::ranges::equal(written, bytes);
}

// The class of each value, from which value_of follows.
bool ReadClassOfValues(ByteReader& reader, ClassMap& map) {
  const unsigned width = 8 - map.raw_bits;
  BitReader bits(reader.ReadBytes(BytesForBits(256 * width)));
  std::array<unsigned, 256> used = {};
  for (unsigned value = 0; value < 256; ++value) {
    const unsigned c = bits.Get(width);
    if (used[c] == 1u << map.raw_bits) return false;
    map.value_of[(c << map.raw_bits) + used[c]++] = static_cast<uint8_t>(value);
  }
  return true;
}

Status ReadOrder(ByteReader& reader, ClassMap& map) {
  switch (map.order) {
    case ClassMap::Order::kZigzag:
      map.center = reader.ReadU8();
      break;
    case ClassMap::Order::kList: {
      ByteSpan listed = reader.ReadBytes(size_t{map.coded_classes} << map.raw_bits);
      std::copy(listed.begin(), listed.end(), map.value_of.begin());
      break;
    }
    case ClassMap::Order::kPairs: {
      ByteSpan costs = reader.ReadBytes(map.nibble_costs.size());
      std::copy(costs.begin(), costs.end(), map.nibble_costs.begin());
      break;
    }
    case ClassMap::Order::kClasses:
      if (!ReadClassOfValues(reader, map)) return Corrupt("classes of unequal size");
      break;
  }
  if (!reader.ok()) return Corrupt("ends early");
  if (!map.FillOrder()) return Corrupt("a value is listed twice");
  return OkStatus();
}

Status ReadClassCode(ByteReader& reader, TableModel& model) {
  const unsigned symbols = model.class_symbols();
  if (model.kind == CodecKind::kTans) {
    const unsigned width = StateClassBits(model);
    BitReader bits(reader.ReadBytes(BytesForBits(kStates * width)));
    for (uint8_t& c : model.state_class) c = static_cast<uint8_t>(bits.Get(width));
    for (uint8_t c : model.state_class) {
      if (c >= symbols) return Corrupt("state of an unknown class");
    }
  } else {
    ByteSpan packed = reader.ReadBytes(BytesForBits(symbols * kClassLengthBits));
    BitReader bits(packed);
    for (unsigned c = 0; c < symbols; ++c) model.class_lengths.push_back(static_cast<uint8_t>(bits.Get(3)));
    for (unsigned c = symbols * kClassLengthBits; c < packed.size() * 8; ++c) {
      if (bits.Get(1) != 0) return Corrupt("padding is not zero");
    }
    if (!IsCompleteCode(model.class_lengths, kMaxClassCodeBits)) return Corrupt("class lengths are no code");
  }
  return OkStatus();
}

}  // namespace

bool TableModel::has_escapes() const {
  if (map.coded_classes >= map.class_count()) return false;
  if (kind == CodecKind::kHuffman) return class_lengths.back() > 0;
  return std::ranges::find(state_class, map.escape_class()) != state_class.end();
}

std::vector<uint8_t> SerializeModel(const TableModel& model) {
  const ClassMap& map = model.map;
  std::vector<uint8_t> out;
  out.reserve(kMaxTableBytes);
  out.push_back(static_cast<uint8_t>(map.raw_bits | static_cast<unsigned>(map.order) << kRawBitsField));
  out.push_back(static_cast<uint8_t>(map.coded_classes));
  switch (map.order) {
    case ClassMap::Order::kZigzag:
      out.push_back(map.center);
      break;
    case ClassMap::Order::kList:
      out.insert(out.end(), map.value_of.begin(), map.value_of.begin() + (map.coded_classes << map.raw_bits));
      break;
    case ClassMap::Order::kPairs:
      out.insert(out.end(), map.nibble_costs.begin(), map.nibble_costs.end());
      break;
    case ClassMap::Order::kClasses: {
      BitWriter classes(out);
      for (uint8_t rank : map.rank_of) classes.Put(rank >> map.raw_bits, 8 - map.raw_bits);
      break;
    }
  }
  BitWriter bits(out);
  if (model.kind == CodecKind::kTans) {
    for (uint8_t c : model.state_class) bits.Put(c, StateClassBits(model));
  } else {
    for (uint8_t length : model.class_lengths) bits.Put(length, kClassLengthBits);
  }
  bits.Flush();
  if (model.has_escapes()) WriteEscapeLengths(model.escape_lengths, out);
  return out;
}

Result<TableModel> ParseModel(CodecKind kind, ByteSpan bytes) {
  if (kind != CodecKind::kTans && kind != CodecKind::kHuffman) return Corrupt("this kind has none");
  ByteReader reader(bytes);
  TableModel model;
  model.kind = kind;
  ClassMap& map = model.map;
  const uint8_t form = reader.ReadU8();
  map.raw_bits = form & ((1u << kRawBitsField) - 1);
  map.order = static_cast<ClassMap::Order>(form >> kRawBitsField & ((1u << kOrderField) - 1));
  map.coded_classes = reader.ReadU8();
  if (!reader.ok() || form >> (kRawBitsField + kOrderField) != 0) return Corrupt("unknown form");
  if (map.raw_bits > kMaxRawBits || map.coded_classes == 0 || map.coded_classes > map.class_count()) {
    return Corrupt("impossible number of classes");
  }
  if (model.class_symbols() > kMaxClasses) return Corrupt("too many classes");
  ENTROFS_RETURN_IF_ERROR(ReadOrder(reader, map));
  ENTROFS_RETURN_IF_ERROR(ReadClassCode(reader, model));
  if (!reader.ok()) return Corrupt("ends early");
  ByteSpan rest = reader.ReadBytes(reader.remaining());
  if (!model.has_escapes()) {
    if (!rest.empty()) return Corrupt("bytes left over");
    return model;
  }
  if (!ReadEscapeLengths(rest, map.class_count() - map.coded_classes, model.escape_lengths) ||
      !IsCompleteCode(model.escape_lengths, kMaxEscapeBits)) {
    return Corrupt("escape lengths are no code");
  }
  return model;
}

}  // namespace entrofs::codec
