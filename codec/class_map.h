#pragma once

#include <array>
#include <cstdint>

#include "codec/kernels/kernels.h"

namespace entrofs::codec {

// How byte values become classes, shared by tans and huffman (docs/codec-format.md, "Classes").
//
// Values are ranked from frequent to rare. The raw_bits low bits of a rank are stored as they are; the rest is the
// class. The first coded_classes classes have their own place in the class code; the others escape.
struct ClassMap {
  enum class Order : uint8_t {
    kZigzag = 0,   // center, center - 1, center + 1, center - 2, ...
    kList = 1,     // the values of the coded classes as listed, then the rest ascending
    kPairs = 2,    // by the sum of a cost per nibble
    kClasses = 3,  // any partition into classes, values ascending in each
  };

  Order order = Order::kZigzag;
  uint8_t center = 0;                         // of kZigzag
  std::array<uint8_t, 32> nibble_costs = {};  // of kPairs: low nibbles, then high nibbles
  unsigned raw_bits = 0;                      // 0..kMaxRawBits
  unsigned coded_classes = 1;
  std::array<uint8_t, 256> value_of = {};  // by rank
  std::array<uint8_t, 256> rank_of = {};   // by value

  unsigned class_count() const { return 256u >> raw_bits; }
  // The class number that means "escape". Only exists when coded_classes < class_count().
  unsigned escape_class() const { return coded_classes; }

  // What a decoder holds for a class before raw bits and order are applied: class << raw_bits, or the byte value itself
  // without raw bits.
  uint8_t HeldByte(unsigned class_number) const {
    return raw_bits > 0 ? static_cast<uint8_t>(class_number << raw_bits) : value_of[class_number];
  }
  // A byte that HeldByte gives for no coded class. Requires: coded_classes < class_count().
  uint8_t EscapeMarker() const { return raw_bits > 0 ? 0xff : value_of[coded_classes]; }

  // Sets value_of from the order, and rank_of from value_of. kList: the values listed must be in value_of already;
  // false when one of them occurs twice.
  bool FillOrder();
  void FillRanks();
};

inline constexpr unsigned kMaxRawBits = 5;
// Class numbers, the escape included, stay below this.
inline constexpr unsigned kMaxClasses = 64;

FinishTables MakeFinishTables(const ClassMap& map, bool has_escapes);

}  // namespace entrofs::codec
