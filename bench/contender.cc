#include "bench/contender.h"

#include <algorithm>
#include <iterator>

namespace entrofs::bench {
namespace {

constexpr size_t kReadableBehind = 64;

void Append(Contenders& all, Contenders more) {
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

}  // namespace

void Pieces::Clear() { begins_ = {0}; }

uint8_t* Pieces::Room(size_t bytes) {
  const size_t needed = begins_.back() + bytes + kReadableBehind;
  if (bytes_.size() < needed) bytes_.resize(std::max(needed, 2 * bytes_.size()));
  return bytes_.data() + begins_.back();
}

void Pieces::Added(size_t bytes) { begins_.push_back(begins_.back() + bytes); }

Contenders MakeContenders(const codec::Layout& layout) {
  Contenders all = GeneralPeers();
  if (layout.plane_count() == 1) {
#ifdef ENTROFS_HAVE_HUFF0
    Append(all, Huff0Peers());
#endif
#ifdef ENTROFS_HAVE_HTSCODECS
    Append(all, HtscodecsPeers());
#endif
  }
  Append(all, OurContenders(layout));
  return all;
}

}  // namespace entrofs::bench
