#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codec/codec.h"
#include "packer/quantize/arithmetic/calibration.h"

// What users ask of quantization.
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
  std::shared_ptr<const arithmetic::Calibration> calibration = nullptr;
  // Whether the archive shows codes and scales in the form of `runtime`, with the values beside as the view `source`.
  // Otherwise it shows the values alone.
  bool packed_view = true;
  // Of kMlx every row is cut into groups of group_size, of kGptq those of kUint4Group.
  Runtime runtime = Runtime::kCompressedTensors;
};

// Whether `options` make sense together. kInvalidArgument.
Status CheckOptions(const Options& options);
// Whether a rate can be asked for. kInvalidArgument.
Status CheckRate(double bits_per_weight);
// Whether a trellis can have this rate, give or take `slack` bits. kInvalidArgument.
Status CheckTrellisBits(double bits_per_weight, double slack = 0);

// How well to know what a rate takes and costs.
enum class Precision {
  kForetold,  // without reading the weights again; the errors of the tensors are left open
  kSampled,   // the same with errors, for trellises: from the samples that are rounded; others as kMeasured
  kMeasured,
};

}  // namespace entrofs::packer::quantize
