#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "archive/format.h"
#include "archive/paths.h"
#include "base/result.h"

namespace entrofs::archive {

// The views and derived extents of an archive under construction, by handles: the number of a stored extent among those
// written so far, or kDerivedHandle plus the number of a derived one. Not thread-safe.
class ViewBuilder {
 public:
  static constexpr uint32_t kDerivedHandle = 0x80000000;

  // To be told of every extent with bytes, in the order of their places.
  void NoteStored(const Extent& extent);

  // kInvalidArgument for an extent that was not noted.
  Result<uint32_t> HandleOf(const Extent& written) const;
  // kInvalidArgument when its inputs or sizes do not fit. Equal ones (but for their names) get one handle.
  Result<uint32_t> AddDerived(const DerivedExtent& derived);
  // Plain bytes of what the handle names; kInvalidArgument when it names nothing.
  Result<uint64_t> SizeOf(uint32_t handle) const;

  // Begin, then files and directories, then End. kInvalidArgument for a name that is none or used before, for paths as
  // PathSet, and for handles that name nothing. The size of a file is computed here.
  Status Begin(const std::string& name);
  Status AddPath(const std::string& path) { return paths_.AddFile(path); }
  Status AddDirectory(const std::string& path) { return paths_.AddDirectory(path); }
  Status AddFile(ViewFile file);
  void End();

  bool empty() const { return views_.empty() && derived_.empty(); }
  // Moves everything to `index`, handles become numbers.
  void Finish(Index& index);

 private:
  std::deque<Extent> extents_;         // stays in place
  std::vector<const Extent*> stored_;  // by handle
  std::map<uint64_t, uint32_t> handle_by_place_;
  std::vector<DerivedExtent> derived_;
  std::multimap<uint64_t, uint32_t> derived_by_size_;
  std::vector<View> views_;
  View current_;
  size_t current_extents_ = 0;
  PathSet paths_;
};

}  // namespace entrofs::archive
