#pragma once

#include <array>
#include <cstddef>
#include <list>
#include <unordered_map>

#include "cache/cache_policy.h"

namespace entrofs::cache {

// For models larger than memory, which are swept from end to end for every token: of a cyclic sweep LRU holds nothing
// that is needed next, while a fixed part of the model gives hits in proportion to its size, the most possible.
//
// A newcomer passes through a small LRU window, where readers of parts find it again, and stays beyond that only in
// place of a segment asked for clearly less often. In a sweep all are asked for equally, so the first ones stay; under
// skewed reads the popular ones do.
class ScanPolicy : public CachePolicy {
 public:
  void Asked(SegmentId id) override;
  void Added(SegmentId id) override;
  void Removed(SegmentId id) override;
  SegmentId Victim() override;
  bool KeepsWhole(SegmentId id, bool full) override;

 private:
  using List = std::list<SegmentId>;  // most recently asked for first
  struct Place {
    bool is_in_window;
    List::iterator at;
  };

  size_t WindowLimit() const;
  void MoveOldestToMain();
  bool Beats(SegmentId newcomer, SegmentId resident) const;
  uint8_t AskedFor(SegmentId id) const { return asked_[id % asked_.size()]; }

  List window_;
  List main_;
  std::unordered_map<SegmentId, Place> places_;
  // How often each segment was asked for lately. Segments this far apart share a count, which does no harm.
  std::array<uint8_t, 1 << 18> asked_{};
  size_t asks_until_halved_ = 1 << 12;
};

}  // namespace entrofs::cache
