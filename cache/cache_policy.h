#pragma once

#include <cstdint>

namespace entrofs::cache {

// Any number that names one segment.
using SegmentId = uint64_t;

// Decides which decoded segments stay. Called by SegmentCache under its lock: no call may block.
class CachePolicy {
 public:
  virtual ~CachePolicy() = default;

  // Somebody asked for the segment, cached or not.
  virtual void Asked(SegmentId id) = 0;
  // The segment was added to the cache; it stays until Removed.
  virtual void Added(SegmentId id) = 0;
  virtual void Removed(SegmentId id) = 0;
  // Which segment to give up when the budget is exceeded; may be the newest. Requires: at least one was added.
  virtual SegmentId Victim() = 0;
  // Whether a segment that a reader needs once, as a whole, should pass through the cache. `full` says that another
  // segment would have to go.
  virtual bool KeepsWhole(SegmentId id, bool full) = 0;
};

}  // namespace entrofs::cache
