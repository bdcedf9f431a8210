#include "cache/lru_policy.h"

namespace entrofs::cache {

void LruPolicy::Asked(SegmentId id) {
  auto place = places_.find(id);
  if (place != places_.end()) order_.splice(order_.begin(), order_, place->second);
}

void LruPolicy::Added(SegmentId id) {
  std::list<SegmentId> node{id};
  places_[id] = node.begin();
  order_.splice(order_.begin(), node);  // cannot throw, so both know it or neither does
}

void LruPolicy::Removed(SegmentId id) {
  auto place = places_.find(id);
  if (place == places_.end()) return;
  order_.erase(place->second);
  places_.erase(place);
}

}  // namespace entrofs::cache
