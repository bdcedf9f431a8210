#include "tests/codec/support.h"

#include <algorithm>
#include <cstring>

#include "codec/huffman.h"
#include "codec/prefix_code.h"
#include "codec/scratch.h"
#include "codec/tans.h"

namespace entrofs::codec {

std::vector<uint8_t> BellBytes(size_t n, unsigned spread, uint64_t seed) {
  Random random(seed);
  std::vector<uint8_t> bytes(n);
  for (uint8_t& byte : bytes) {
    uint32_t sum = 0;
    for (int i = 0; i < 8; ++i) sum += random.Below(spread + 1);
    int value = 128 + static_cast<int>(sum) / 2 - static_cast<int>(2 * spread);
    byte = static_cast<uint8_t>(std::clamp(value, 0, 255));
  }
  return bytes;
}

std::string NameOf(const Shape& shape) {
  static const char* const kOrders[] = {"Zigzag", "List", "Pairs", "Classes"};
  return std::string(Name(shape.kind)) + kOrders[static_cast<int>(shape.order)] + std::to_string(shape.raw_bits) +
         (shape.escapes ? "Escapes" : "");
}

std::vector<Shape> AllShapes() {
  std::vector<Shape> shapes;
  for (CodecKind kind : {CodecKind::kTans, CodecKind::kHuffman}) {
    for (unsigned raw_bits = 0; raw_bits <= kMaxRawBits; ++raw_bits) {
      for (auto order :
           {ClassMap::Order::kZigzag, ClassMap::Order::kList, ClassMap::Order::kPairs, ClassMap::Order::kClasses}) {
        for (bool escapes : {false, true}) shapes.push_back({kind, raw_bits, order, escapes});
      }
    }
  }
  return shapes;
}

TableModel MakeModel(const Shape& shape, uint64_t seed) {
  Random random(seed);
  TableModel model;
  model.kind = shape.kind;
  ClassMap& map = model.map;
  map.order = shape.order;
  map.raw_bits = shape.raw_bits;
  map.coded_classes = std::min(1 + random.Below(20), map.class_count() - 1);
  map.center = static_cast<uint8_t>(random.Next());
  for (uint8_t& cost : map.nibble_costs) cost = static_cast<uint8_t>(random.Next());
  if (map.order == ClassMap::Order::kList || map.order == ClassMap::Order::kClasses) {
    for (unsigned value = 0; value < 256; ++value) map.value_of[value] = static_cast<uint8_t>(value);
    for (unsigned i = 255; i > 0; --i) std::swap(map.value_of[i], map.value_of[random.Below(i + 1)]);
  }
  EXPECT_TRUE(map.FillOrder());

  std::vector<uint64_t> weights(model.class_symbols());
  for (uint64_t& weight : weights) weight = 1 + (random.Next() >> random.Below(24));
  if (!shape.escapes) weights.back() = 0;
  model.class_lengths = LimitedLengths(weights, kMaxClassCodeBits);
  if (shape.kind == CodecKind::kTans) {
    // Any assignment of states in which every symbol with weight has one will do.
    unsigned symbols = static_cast<unsigned>(weights.size()) - (shape.escapes ? 0 : 1);
    for (unsigned state = 0; state < kStates; ++state) {
      unsigned symbol = state < symbols ? state : std::min(random.Below(symbols), random.Below(symbols));
      model.state_class[state] = static_cast<uint8_t>(symbol);
    }
    for (unsigned i = kStates - 1; i > 0; --i) std::swap(model.state_class[i], model.state_class[random.Below(i + 1)]);
    model.class_lengths.clear();
  }
  if (shape.escapes) {
    std::vector<uint64_t> beyond(map.class_count() - map.coded_classes);
    for (uint64_t& weight : beyond) weight = random.Below(3) == 0 ? 0 : 1 + (random.Next() >> random.Below(31));
    beyond.back() = 1;
    model.escape_lengths = LimitedLengths(beyond, kMaxEscapeBits);
  }
  return model;
}

Tables MakeTables(TableModel model) {
  Tables tables;
  tables.encode = std::make_shared<const EncodeTable>(std::move(model));
  auto parsed = ParseTable(tables.encode->model.kind, SerializedTable(*tables.encode));
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  if (parsed) tables.decode = *parsed;
  return tables;
}

Tables MakeTables(CodecKind kind, const std::vector<uint8_t>& training) {
  Histogram histogram = {};
  CountBytes(training, histogram);
  return MakeTables(FitModel(kind, histogram));
}

std::vector<uint8_t> CodableBytes(const EncodeTable& table, size_t n, uint64_t seed, uint32_t any_value_each) {
  Random random(seed);
  std::vector<uint8_t> bytes(n);
  for (uint8_t& byte : bytes) {
    do {
      unsigned rank = random.Below(256);
      unsigned coded = table.model.map.coded_classes << table.model.map.raw_bits;
      if (random.Below(any_value_each) != 0) rank %= coded;
      byte = table.model.map.value_of[rank];
    } while (table.classify.symbol_of_value[byte] == kNoSymbol);
  }
  return bytes;
}

std::vector<uint8_t> Encode(const Tables& tables, const std::vector<uint8_t>& plain) {
  PlaneEncoder encoder{tables.encode->model.kind, tables.encode};
  Scratch scratch;
  std::vector<uint8_t> stored;
  EncodeSegment({}, {&encoder, 1}, plain, scratch, stored);
  return stored;
}

std::vector<uint8_t> EncodeStream(const EncodeTable& table, const std::vector<uint8_t>& plain) {
  Scratch scratch;
  std::vector<uint8_t> out;
  bool ok = table.model.kind == CodecKind::kTans ? EncodeTans(table, plain, scratch.impl(), out)
                                                 : EncodeHuffman(table, plain, scratch.impl(), out);
  EXPECT_TRUE(ok);
  return out;
}

std::vector<uint8_t> SegmentOf(CodecKind kind, const std::vector<uint8_t>& stream) {
  ByteWriter writer;
  writer.WriteU32(static_cast<uint32_t>(kind) | static_cast<uint32_t>(stream.size()) << 4);
  writer.WriteBytes(stream);
  return std::move(writer).Take();
}

Status Decode(const Tables& tables, const std::vector<uint8_t>& stored, std::vector<uint8_t>& plain, uint8_t fill) {
  const size_t bytes = stored.size() + kReadSlackBytes;
  std::unique_ptr<uint8_t[]> copy(new uint8_t[bytes]);
  std::memset(copy.get(), fill, bytes);
  std::memcpy(copy.get(), stored.data(), stored.size());
  std::unique_ptr<uint8_t[]> out(new uint8_t[plain.size()]);
  std::memset(out.get(), fill, plain.size());
  PlaneDecoder decoder{tables.encode->model.kind, tables.decode};
  Scratch scratch;
  Status status =
      DecodeSegment({}, {&decoder, 1}, ByteSpan(copy.get(), stored.size()), scratch, {out.get(), plain.size()});
  std::copy_n(out.get(), plain.size(), plain.begin());
  return status;
}

}  // namespace entrofs::codec
