#include "codec/table.h"

namespace entrofs::codec {

std::shared_ptr<const EncodeTable> BuildTable(CodecKind kind, const Histogram&) {
  auto table = std::make_shared<EncodeTable>();
  table->kind = kind;
  table->serialized = {static_cast<uint8_t>(kind)};
  for (uint64_t& bits : table->cost_bits) bits = 8;
  return table;
}

ByteSpan SerializedTable(const EncodeTable& table) { return table.serialized; }

double EstimateBits(const EncodeTable& table, const Histogram& histogram) {
  double bits = 0;
  for (int value = 0; value < 256; ++value) {
    bits += static_cast<double>(histogram[value]) * static_cast<double>(table.cost_bits[value]);
  }
  return bits;
}

Result<std::shared_ptr<const DecodeTable>> ParseTable(CodecKind kind, ByteSpan serialized) {
  if (serialized.size() != 1 || serialized[0] != static_cast<uint8_t>(kind)) {
    return Error{ErrorCode::kCorrupt, "table: unknown form"};
  }
  auto table = std::make_shared<DecodeTable>();
  table->kind = kind;
  return std::shared_ptr<const DecodeTable>(table);
}

}  // namespace entrofs::codec
