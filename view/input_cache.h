#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "base/buffer.h"

namespace entrofs::view {

// Decoded segments of small inputs, the least recently used given up first. Thread-safe.
class InputCache {
 public:
  using Segment = std::shared_ptr<const Buffer>;
  struct Key {
    uint32_t extent;
    uint64_t segment;
    auto operator<=>(const Key&) const = default;
  };

  // Keeps at most `budget_bytes`, but the last segment put in, however long it is.
  explicit InputCache(size_t budget_bytes) : budget_bytes_(budget_bytes) {}

  // Null when it is not there.
  Segment Find(const Key& key);
  void Put(const Key& key, Segment segment);
  size_t held_bytes() const;

 private:
  using Entries = std::list<std::pair<Key, Segment>>;  // the most recently used first

  const size_t budget_bytes_;
  mutable std::mutex mutex_;
  Entries entries_;
  std::map<Key, Entries::iterator> by_key_;
  size_t held_bytes_ = 0;
};

}  // namespace entrofs::view
