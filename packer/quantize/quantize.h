#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "codec/codec.h"
#include "packer/output_tensor.h"
#include "packer/quantize/calibration.h"

// Turns a checkpoint's matrices into quantized ones in the forms of compressed-tensors, which transformers and vLLM
// load. This and quantization_config.h are what the rest of packer/ includes.
namespace entrofs::packer::quantize {

enum class Scheme {
  kUint8,        // EntroLLM: one scale and zero point per matrix, codes 0..255
  kUint4,        // the same with codes 0..15
  kInt8Tensor,   // one scale per matrix, codes -127..127
  kInt8Channel,  // one scale per row, codes -127..127
  kUint4Group,   // a scale (and zero point) per group of weights in a row, 16 codes
  kRate,         // codes -127..127 with steps chosen for a size in the archive
};
inline constexpr size_t kSchemeCount = 6;
// As users write it: "uint8", "uint4", "int8-tensor", "int8-channel", "uint4-group", "rate".
std::string_view Name(Scheme scheme);
std::optional<Scheme> ParseScheme(std::string_view name);

// Whose conventions quantized files follow.
enum class Runtime {
  kCompressedTensors,  // transformers, vLLM: https://github.com/vllm-project/compressed-tensors
  kMlx,                // mlx-lm: groups in a row with scale and bias
  kGptq,               // AutoGPTQ's first format, for transformers, vLLM and others; symmetric codes only
};
// "compressed-tensors", "mlx", "gptq".
std::string_view Name(Runtime runtime);
std::optional<Runtime> ParseRuntime(std::string_view name);

struct Options {
  Scheme scheme = Scheme::kUint8;
  // Shell patterns of tensor names: see SelectTensors.
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  // Of kUint4Group: weights per group (32, 64 or 128), and whether zero is always the middle code.
  uint32_t group_size = 128;
  bool symmetric = false;
  // Of kRate: what a quantized weight takes in the archive, with scales, tables and checksums, coded with tans.
  double bits_per_weight = 4;
  // Of kRate: instead of bits_per_weight, the size of the whole archive, of which `other_bytes` go to what is not in
  // `tensors`.
  std::optional<uint64_t> archive_bytes = std::nullopt;
  double other_bytes = 0;
  // Of kRate: round along trellises (trellis.h): less error for the bits, or fewer bits, for more time. Not with
  // Hessians, with kGptq, or for less than 1 or more than 5 bits per weight. Archives must then have segments of
  // `segment_bytes`.
  bool trellis = false;
  // Codes of a trellis are twice as fine as those of other roundings, and int8 has no more; below a bit a trellis gains
  // little, and what it takes is hard to foretell.
  static constexpr double kLeastTrellisBits = 1;
  static constexpr double kMostTrellisBits = 5;
  // Of kRate: what archives of the outputs are cut into.
  uint32_t segment_bytes = codec::kDefaultSegmentBytes;
  // What is known of layers' inputs; may be null. kRate shares out bits by it and rounds with error feedback where it
  // has Hessians; for every scheme, output errors are measured where it knows the inputs.
  std::shared_ptr<const Calibration> calibration = nullptr;
  // Of kMlx every row is cut into groups of group_size, of kGptq those of kUint4Group.
  Runtime runtime = Runtime::kCompressedTensors;
};

// The way a matrix is written: what a config group says of its weights.
struct Layout {
  enum class Format {
    kNaive,   // `weight` I8, one scale and zero point
    kPacked,  // `weight_packed` I32
    kMlx,     // `weight` U32, `scales`, `biases`
    kGptq,    // `qweight` I32 [in, out], `qzeros`, `scales`, `g_idx`
  };
  Format format = Format::kPacked;
  int bits = 8;
  bool symmetric = true;
  uint64_t group_size = 0;  // weights per scale, 0 for a whole row
  friend auto operator<=>(const Layout&, const Layout&) = default;
};

struct TensorPlan {
  // What stands in for the input tensor, the one with the weights first. The input itself when it is kept.
  std::vector<OutputTensor> outputs;
  // Set when the tensor was quantized.
  std::optional<Layout> layout;
};

struct Plan {
  std::vector<TensorPlan> tensors;    // one for each input tensor, in order
  std::vector<std::string> warnings;  // "<tensor>: <why it was left as it is>"
  QuantizationError error;            // of all quantized tensors
};

// How well to know what a rate takes and costs.
enum class Precision {
  kForetold,  // without reading the weights again; the errors of the tensors are left open
  kSampled,   // the same with errors, for trellises: from the samples that are rounded; others as kMeasured
  kMeasured,
};

// Decides what becomes of every tensor of a checkpoint. Reading the weights for it takes the time, so rates to choose
// from are planned from one survey.
class Planner {
 public:
  // `tensors` are all tensors of the checkpoint, as they are, from all its files. Reads every matrix, on `pool` and the
  // calling thread: once for kRate and for 16-bit floats that get one scale per matrix, otherwise twice. Holds up to 1
  // MiB per thread, 28 bytes per row for schemes with one scale per row and, for kRate, some 50 KiB per matrix.
  // Errors: kInvalidArgument (options), or those of reading.
  static Result<Planner> Survey(const Options& options, std::vector<OutputTensor> tensors, ThreadPool& pool);
  ~Planner();
  Planner(Planner&&) noexcept;

  const std::vector<OutputTensor>& tensors() const;

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
Result<Plan> PlanQuantization(const Options& options, std::span<const OutputTensor> tensors, ThreadPool& pool);

}  // namespace entrofs::packer::quantize
