#include "view/input_cache.h"

namespace entrofs::view {

InputCache::Segment InputCache::Find(const Key& key) {
  std::lock_guard lock(mutex_);
  auto known = by_key_.find(key);
  if (known == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, known->second);
  return known->second->second;
}

void InputCache::Put(const Key& key, Segment segment) {
  std::lock_guard lock(mutex_);
  if (by_key_.contains(key)) return;  // another thread was faster
  held_bytes_ += segment->size();
  entries_.emplace_front(key, std::move(segment));
  by_key_.emplace(key, entries_.begin());
  while (held_bytes_ > budget_bytes_ && entries_.size() > 1) {
    held_bytes_ -= entries_.back().second->size();
    by_key_.erase(entries_.back().first);
    entries_.pop_back();
  }
}

size_t InputCache::held_bytes() const {
  std::lock_guard lock(mutex_);
  return held_bytes_;
}

}  // namespace entrofs::view
