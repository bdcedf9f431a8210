#include "cache/scan_policy.h"

#include <algorithm>

namespace entrofs::cache {
namespace {

constexpr size_t kMinWindow = 4;
constexpr size_t kWindowShare = 32;  // one in so many segments is in the window
// Low counts that are halved often forget quickly what is not asked for any longer.
constexpr uint8_t kMaxAsked = 15;
constexpr size_t kMinAsksBetweenHalvings = 4096;
constexpr size_t kAsksPerSegmentBetweenHalvings = 16;
// In a sweep the counts of any two segments differ by one at most, depending on which was passed last.
constexpr int kClearly = 2;

}  // namespace

void ScanPolicy::Asked(SegmentId id) {
  uint8_t& count = asked_[id % asked_.size()];
  if (count < kMaxAsked) ++count;
  if (--asks_until_halved_ == 0) {
    for (uint8_t& other : asked_) other /= 2;
    asks_until_halved_ = std::max(kMinAsksBetweenHalvings, places_.size() * kAsksPerSegmentBetweenHalvings);
  }
  auto place = places_.find(id);
  if (place == places_.end()) return;
  List& list = place->second.is_in_window ? window_ : main_;
  list.splice(list.begin(), list, place->second.at);
}

void ScanPolicy::Added(SegmentId id) {
  List node{id};
  places_[id] = {true, node.begin()};
  window_.splice(window_.begin(), node);  // cannot throw, so both know it or neither does
}

void ScanPolicy::Removed(SegmentId id) {
  auto place = places_.find(id);
  if (place == places_.end()) return;
  (place->second.is_in_window ? window_ : main_).erase(place->second.at);
  places_.erase(place);
}

// Asked once the cache is full, with the newcomer in the window. Up to then the window is all there is.
SegmentId ScanPolicy::Victim() {
  while (window_.size() > WindowLimit() + 1) MoveOldestToMain();
  if (window_.size() <= WindowLimit() && !main_.empty()) return main_.back();  // the budget was cut
  SegmentId newcomer = window_.back();
  if (main_.empty() || !Beats(newcomer, main_.back())) return newcomer;
  SegmentId loser = main_.back();
  MoveOldestToMain();
  return loser;
}

bool ScanPolicy::KeepsWhole(SegmentId id, bool full) { return !full || main_.empty() || Beats(id, main_.back()); }

size_t ScanPolicy::WindowLimit() const { return std::max(kMinWindow, places_.size() / kWindowShare); }

void ScanPolicy::MoveOldestToMain() {
  Place& place = places_.at(window_.back());
  main_.splice(main_.begin(), window_, place.at);
  place.is_in_window = false;
}

bool ScanPolicy::Beats(SegmentId newcomer, SegmentId resident) const {
  return AskedFor(newcomer) >= AskedFor(resident) + kClearly;
}

}  // namespace entrofs::cache
