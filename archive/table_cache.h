#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "archive/format.h"
#include "base/result.h"
#include "codec/codec.h"

namespace entrofs::archive {

// Parsed tables by number, a fixed number of them: a checkpoint of a hundred thousand tensors must not keep as many
// lookup tables in memory. Thread-safe.
class TableCache {
 public:
  // `tables` must outlive the cache.
  explicit TableCache(const std::vector<Table>& tables) : tables_(tables) {}

  // The table of this number, parsed now unless it is kept; null for kNoTable. kCorrupt when it is not a table.
  Result<std::shared_ptr<const codec::DecodeTable>> Get(uint32_t number);

 private:
  // Table n can only be kept in slot n % kSlots.
  static constexpr size_t kSlots = 512;
  struct Slot {
    std::mutex mutex;
    uint32_t number = kNoTable;
    std::shared_ptr<const codec::DecodeTable> table;
  };

  const std::vector<Table>& tables_;
  std::array<Slot, kSlots> slots_;
};

}  // namespace entrofs::archive
