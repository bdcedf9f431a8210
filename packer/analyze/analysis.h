#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "packer/analyze/survey.h"
#include "packer/analyze/trial.h"
#include "packer/read/progress.h"
#include "packer/source/checkpoint.h"

// What every scheme would make of a checkpoint, found out before packing it.
namespace entrofs::packer::analyze {

// How often each code occurs, from the lowest to the highest that does.
struct SymbolCounts {
  int first = 0;
  std::vector<uint64_t> counts;
};

// What one scheme makes of one matrix, or of all.
struct Cost {
  uint64_t weight_count = 0;
  uint64_t archive_bytes = 0;  // with scales, zero points, tables, checksums and places in the index
  double entropy_bits = 0;     // order-0, of all of them together
  // Not set where the matrix stays as it is.
  std::optional<tree::QuantizationError> error;
  // Of the layer's outputs over the inputs of a calibration that knows them.
  std::optional<tree::QuantizationError> output_error;
  std::optional<SymbolCounts> symbols;

  double bits_per_weight() const;
  double entropy_bits_per_weight() const;
  double SqnrDb() const;        // +infinity where nothing is lost
  double OutputSqnrDb() const;  // the same
};

struct SchemeCosts {
  Trial trial;
  uint64_t archive_bytes = 0;  // of the whole checkpoint
  std::vector<Cost> matrices;  // in the order of Analysis::matrices

  Cost Total() const;
  // The numbers of the matrices, those that lose the most first.
  std::vector<size_t> WorstFirst() const;
};

struct MatrixFacts {
  std::string file;
  std::string name;
  source::Dtype dtype = source::Dtype::kBf16;
  std::vector<uint64_t> shape;
  uint64_t weight_count = 0;
  Survey survey;
  uint64_t outlier_columns = 0;
};

struct Analysis {
  std::string source;
  uint64_t source_bytes = 0;
  std::vector<MatrixFacts> matrices;  // those that are quantized; empty when there are none
  std::vector<SchemeCosts> schemes;   // the lossless one first; alone when there are no matrices
  std::vector<std::string> warnings;  // for the user, one line each
};

// Tries all schemes. Their sizes are those of the archives that `create` would write; of trellises, which take long to
// round, sizes and errors are foretold from samples of large matrices. Quantizes the weights of linear
// layers, or, where the checkpoint has none and options.include is empty, all its float matrices: recorded activations,
// embeddings. Reads everything two to eight times per scheme, on `pool` and the calling thread, with the memory
// that packing takes and some kilobytes per matrix. The result does not depend on the number of threads.
Result<Analysis> Analyze(const source::Checkpoint& checkpoint, const TrialOptions& options, ThreadPool& pool,
                         read::Progress& progress);

}  // namespace entrofs::packer::analyze
