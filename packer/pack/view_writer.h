#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "archive/archive_writer.h"
#include "base/file.h"
#include "base/result.h"
#include "packer/pack/extent_input.h"
#include "packer/tree/output_tree.h"

namespace entrofs::packer::pack {

// Where in an archive the parts of a tree were stored. Not thread-safe.
class StoredPlaces {
 public:
  // A run of a part's bytes: `size_bytes` at `offset_bytes` of the extent that the writer knows by `handle`.
  struct Place {
    uint32_t handle = 0;
    uint64_t extent_bytes = 0;
    uint64_t offset_bytes = 0;
    uint64_t size_bytes = 0;

    bool is_whole() const { return size_bytes == extent_bytes; }
  };

  // `input` was stored as `extent`. Errors are the writer's.
  Status Note(const ExtentInput& input, const archive::Extent& extent, const archive::ArchiveWriter& writer);

  // The places of a part's bytes, in order; none for a part of no bytes.
  const std::vector<Place>& Of(const RandomAccessFile& bytes) const;

 private:
  std::map<const RandomAccessFile*, std::vector<Place>> places_;
};

// Adds the views of `tree`, whose parts were all stored at `places`, to the archive. Reads all that they show once, for
// the hashes. Errors are those of reading and the writer's.
Status AddViews(const tree::OutputTree& tree, const StoredPlaces& places, archive::ArchiveWriter& writer);

}  // namespace entrofs::packer::pack
