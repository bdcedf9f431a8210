#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "packer/pack/extent_input.h"
#include "packer/pack/pack_options.h"
#include "packer/report/report.h"
#include "packer/tree/output_tree.h"

namespace entrofs::packer::pack {

// Puts together what an archive reports of its tensors, extent by extent. Not thread-safe.
class ReportBuilder {
 public:
  explicit ReportBuilder(const PackOptions& options);

  // What coding made of one extent. `table_bytes` come on top of `segment_bytes`; both are 0 for a duplicate.
  struct ExtentFacts {
    std::string codec;
    double entropy_bits = 0;
    uint64_t segment_bytes = 0;
    uint64_t table_bytes = 0;
  };
  // Call for the extents of a file in order, then EndFile.
  void AddExtent(const ExtentInput& input, const ExtentFacts& facts);
  // A table that was counted in an extent's table_bytes, as it is stored.
  void AddTable(ByteSpan serialized) { tables_.insert(tables_.end(), serialized.begin(), serialized.end()); }
  // Completes the reports on the tensors of `file`, those of no bytes too, which are in no extent.
  void EndFile(const tree::OutputFile& file);

  // Call once, at the end.
  report::Report Finish();

 private:
  report::Report report_;
  std::vector<report::TensorReport> in_file_;  // of the file that is being added
  std::vector<uint8_t> tables_;                // one after another
  uint64_t other_table_bytes_ = 0;
};

}  // namespace entrofs::packer::pack
