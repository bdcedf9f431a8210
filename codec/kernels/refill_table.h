#pragma once

#include <stdint.h>

// Internal to kernels whose registers hold 16 bytes that a shuffle deals out.
namespace entrofs::codec {
namespace {

// Deals the bytes of a refill to four lanes, by the number each takes (two bits per lane): first two bytes of lane i to
// bytes 2i and 2i + 1, the third to byte 8 + 2i. Bytes that nothing goes to have an index that shuffles of every CPU
// turn into zero.
struct RefillTable {
  alignas(64) uint8_t shuffle[256][16];
  uint8_t bytes[256];
};

constexpr RefillTable MakeRefillTable() {
  RefillTable table = {};
  for (unsigned index = 0; index < 256; ++index) {
    uint8_t next = 0;
    for (uint8_t& slot : table.shuffle[index]) slot = 0xff;
    for (unsigned lane = 0; lane < 4; ++lane) {
      for (unsigned i = 0; i < (index >> (2 * lane) & 3); ++i) {
        table.shuffle[index][i < 2 ? 2 * lane + i : 8 + 2 * lane] = next++;
      }
    }
    table.bytes[index] = next;
  }
  return table;
}
constexpr RefillTable kRefill = MakeRefillTable();

}  // namespace
}  // namespace entrofs::codec
