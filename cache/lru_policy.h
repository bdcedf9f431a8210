#pragma once

#include <list>
#include <unordered_map>

#include "cache/cache_policy.h"

namespace entrofs::cache {

// Gives up what was not asked for longest. Segments read as a whole bypass the cache: the kernel keeps them.
class LruPolicy : public CachePolicy {
 public:
  void Asked(SegmentId id) override;
  void Added(SegmentId id) override;
  void Removed(SegmentId id) override;
  SegmentId Victim() override { return order_.back(); }
  bool KeepsWhole(SegmentId /*id*/, bool /*full*/) override { return false; }

 private:
  std::list<SegmentId> order_;  // most recent first
  std::unordered_map<SegmentId, std::list<SegmentId>::iterator> places_;
};

}  // namespace entrofs::cache
