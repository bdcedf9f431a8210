#include "archive/table_cache.h"

namespace entrofs::archive {

Result<std::shared_ptr<const codec::DecodeTable>> TableCache::Get(uint32_t number) {
  if (number == kNoTable) return std::shared_ptr<const codec::DecodeTable>();
  Slot& slot = slots_[number % kSlots];
  {
    std::lock_guard lock(slot.mutex);
    if (slot.number == number) return slot.table;
  }
  const Table& table = tables_[number];
  ENTROFS_ASSIGN_OR_RETURN(std::shared_ptr<const codec::DecodeTable> parsed,
                           codec::ParseTable(table.kind, table.serialized));
  std::lock_guard lock(slot.mutex);
  slot.number = number;
  slot.table = parsed;
  return parsed;
}

}  // namespace entrofs::archive
