#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "packer/quantize/forms/form.h"
#include "packer/quantize/options.h"
#include "packer/tree/output_tensor.h"

// Decides which matrices of a checkpoint are quantized, and how.
namespace entrofs::packer::quantize {

struct Plan {
  std::vector<forms::TensorPlan> tensors;  // one for each input tensor, in order
  std::vector<std::string> warnings;       // "<tensor>: <why it was left as it is>"
  tree::QuantizationError error;           // of all quantized tensors
};

// Decides what becomes of every tensor of a checkpoint. Reading the weights for it takes the time, so rates to choose
// from are planned from one survey.
class Planner {
 public:
  // `tensors` are all tensors of the checkpoint, as they are, from all its files. Reads every matrix, on `pool` and the
  // calling thread: once for kRate and for 16-bit floats that get one scale per matrix, otherwise twice. Holds up to 1
  // MiB per thread, 28 bytes per row for schemes with one scale per row and, for kRate, some 50 KiB per matrix.
  // Errors: kInvalidArgument (options), or those of reading.
  static Result<Planner> Survey(const Options& options, std::vector<tree::OutputTensor> tensors, ThreadPool& pool);
  ~Planner();
  Planner(Planner&&) noexcept;

  const std::vector<tree::OutputTensor>& tensors() const;

  // A plan for the options of the survey but with this rate or size. For kRate, kMeasured reads every matrix once or,
  // where that shows the survey to have foretold badly, up to six times; with Hessians kForetold is the same. With a
  // trellis kForetold rounds samples, and rounding takes 11 bytes for each of a segment, per thread; the outputs of
  // kForetold and kSampled then are not what packing would make. The outputs read matrices again whenever they are
  // read, but for up to 64 Mi codes that the last plan keeps in memory. A matrix with NaN or infinite values, or too
  // large for its dtype's scale, is left as it is, with a warning. The result does not depend on the number of threads.
  // Errors: kInvalidArgument (rate or size; a tensor that already bears the name of an output), or those of reading.
  Result<Plan> Make(double bits_per_weight, std::optional<uint64_t> archive_bytes, Precision precision,
                    ThreadPool& pool);

 private:
  struct State;
  explicit Planner(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Survey and Make at once.
Result<Plan> PlanQuantization(const Options& options, std::span<const tree::OutputTensor> tensors, ThreadPool& pool);

}  // namespace entrofs::packer::quantize
