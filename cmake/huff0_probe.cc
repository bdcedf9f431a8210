// Exits with 0 when zstd's Huffman stage can be called as bench/huff0_functions.h declares it.

#include <cstdint>
#include <cstring>

#include "bench/huff0_functions.h"

using namespace entrofs::bench;

int main() {
  static unsigned char plain[20000], coded[40000], decoded[20000], written[256];
  alignas(64) static unsigned char workspace[kHufWorkspaceBytes];
  static size_t encode_table[kHufEncodeTableWords];
  static unsigned decode_table[kHufDecodeTableWords];
  unsigned count[256] = {};
  uint32_t random = 1;
  for (unsigned char& byte : plain) {
    random = random * 1664525 + 1013904223;
    byte = static_cast<unsigned char>(__builtin_popcount(random >> 8) + 100);
    ++count[byte];
  }
  unsigned most = 255;
  while (count[most] == 0) --most;
  const size_t bits = HUF_buildCTable_wksp(encode_table, count, most, kHufMaxBits, workspace, sizeof workspace);
  if (HUF_isError(bits)) return 1;
  const size_t header = HUF_writeCTable_wksp(written, sizeof written, encode_table, most, static_cast<unsigned>(bits),
                                             workspace, sizeof workspace);
  const size_t size = HUF_compress4X_usingCTable(coded, sizeof coded, plain, sizeof plain, encode_table, 0);
  if (HUF_isError(header) || HUF_isError(size) || size == 0 || size > sizeof plain) return 2;
  const unsigned empties[] = {kHufEmptyX1, kHufEmptyX2};
  for (unsigned empty : empties) {
    decode_table[0] = empty;
    const auto read = empty == kHufEmptyX1 ? HUF_readDTableX1_wksp : HUF_readDTableX2_wksp;
    if (HUF_isError(read(decode_table, written, header, workspace, sizeof workspace, 0))) return 3;
    std::memset(decoded, 0, sizeof decoded);
    if (HUF_decompress4X_usingDTable(decoded, sizeof decoded, coded, size, decode_table, 0) != sizeof decoded) return 4;
    if (std::memcmp(plain, decoded, sizeof plain) != 0) return 5;
  }
  return 0;
}
