#include "codec/bits.h"

namespace entrofs::codec {

void PutVarint(uint32_t value, std::vector<uint8_t>& out) {
  while (value >= 0x80) {
    out.push_back(static_cast<uint8_t>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<uint8_t>(value));
}

uint32_t ReadVarint(ByteReader& reader, bool& ok) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 35; shift += 7) {
    uint8_t byte = reader.ReadU8();
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte & 0x80) continue;
    bool shortest = byte != 0 || shift == 0;
    if (!reader.ok() || !shortest || value > UINT32_MAX) break;
    return static_cast<uint32_t>(value);
  }
  ok = false;
  return 0;
}

}  // namespace entrofs::codec
