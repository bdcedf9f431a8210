#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "packer/pack/coding.h"
#include "packer/pack/extent_input.h"
#include "packer/pack/extent_plan.h"
#include "packer/pack/measure.h"
#include "packer/pack/pack_options.h"
#include "packer/read/progress.h"
#include "packer/tree/output_tree.h"

namespace entrofs::packer::pack {

// Chooses how each extent of an archive is coded: layout, codecs, and tables of its own or shared ones. Not
// thread-safe.
class ExtentCoder {
 public:
  // `options` must outlive this.
  explicit ExtentCoder(const PackOptions& options) : options_(options) {}

  // Makes the tables that all of `tree` shares, for options.one_table_per_archive. Reads everything once. Errors are
  // those of reading.
  Status ShareTablesOfArchive(const tree::OutputTree& tree, ThreadPool& pool, read::Progress& progress);
  // Makes the tables that the small ones among these extents share; Choose then knows only these.
  void ShareTablesOf(const std::vector<PlannedExtent>& extents);

  // What was measured of `bytes`, which are the input's, perhaps nearer at hand. Errors are those of reading.
  Result<Measurement> Measured(const ExtentInput& input, const RandomAccessFile& bytes, ThreadPool& pool) const;

  // The coding for an input that was measured. Reads samples of it. Errors are those of reading.
  Result<Coding> Choose(const ExtentInput& input, const Measurement& measurement);
  // The same for rounded weights, by their counts alone.
  Coding ChooseByCounts(const ExtentInput& input, const Measurement& measurement);

  // A segment size near the one asked for that ends segments with whole units of the layout, and that an archive
  // allows.
  uint32_t SegmentBytes(const codec::Layout& layout) const;

 private:
  CodingOptions CodingOptionsFor(const ExtentInput& input, bool is_rounded);

  const PackOptions& options_;
  std::optional<SharedTables> shared_;  // by all of the archive, or by the small tensors planned last
};

// Whether the bytes of an input are made from others when they are read.
bool IsComputed(const ExtentInput& input);

// What measuring a tensor tells whose bytes were counted when they were made: equal bytes are equal in it. Requires:
// tensor.byte_counts.
Measurement AsMeasured(const tree::OutputTensor& tensor);

}  // namespace entrofs::packer::pack
