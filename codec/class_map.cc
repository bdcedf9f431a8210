#include "codec/class_map.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace entrofs::codec {
namespace {

void FillZigzag(uint8_t center, std::array<uint8_t, 256>& value_of) {
  for (int rank = 0; rank < 256; ++rank) {
    int distance = rank % 2 == 0 ? rank / 2 : -(rank + 1) / 2;
    value_of[rank] = static_cast<uint8_t>(center + distance);
  }
}

bool FillList(size_t listed, std::array<uint8_t, 256>& value_of) {
  std::array<bool, 256> seen = {};
  for (size_t rank = 0; rank < listed; ++rank) {
    if (seen[value_of[rank]]) return false;
    seen[value_of[rank]] = true;
  }
  size_t rank = listed;
  for (int value = 0; value < 256; ++value) {
    if (!seen[value]) value_of[rank++] = static_cast<uint8_t>(value);
  }
  return true;
}

void FillPairs(const std::array<uint8_t, 32>& costs, std::array<uint8_t, 256>& value_of) {
  std::iota(value_of.begin(), value_of.end(), uint8_t{0});
  auto cost = [&](uint8_t value) { return costs[value & 15] + costs[16 + (value >> 4)]; };
  std::stable_sort(value_of.begin(), value_of.end(), [&](uint8_t a, uint8_t b) { return cost(a) < cost(b); });
}

}  // namespace

bool ClassMap::FillOrder() {
  switch (order) {
    case Order::kZigzag:
      FillZigzag(center, value_of);
      break;
    case Order::kList:
      if (!FillList(size_t{coded_classes} << raw_bits, value_of)) return false;
      break;
    case Order::kPairs:
      FillPairs(nibble_costs, value_of);
      break;
    case Order::kClasses:
      if (!FillList(value_of.size(), value_of)) return false;
      for (size_t first = 0; first < value_of.size(); first += size_t{1} << raw_bits) {
        std::sort(value_of.begin() + first, value_of.begin() + first + (size_t{1} << raw_bits));
      }
      break;
  }
  FillRanks();
  return true;
}

void ClassMap::FillRanks() {
  for (int rank = 0; rank < 256; ++rank) rank_of[value_of[rank]] = static_cast<uint8_t>(rank);
}

FinishTables MakeFinishTables(const ClassMap& map, bool has_escapes) {
  FinishTables tables = {};
  std::memcpy(tables.value_of_rank, map.value_of.data(), map.value_of.size());
  tables.raw_bits = static_cast<uint8_t>(map.raw_bits);
  tables.has_escapes = has_escapes;
  tables.escape_marker = has_escapes ? map.EscapeMarker() : 0;
  tables.is_zigzag = map.order == ClassMap::Order::kZigzag;
  tables.center = map.center;
  tables.coded_ranks = static_cast<uint16_t>(map.coded_classes << map.raw_bits);
  return tables;
}

}  // namespace entrofs::codec
