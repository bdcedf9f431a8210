#include "packer/quantize/options.h"

#include <algorithm>
#include <array>

namespace entrofs::packer::quantize {
namespace {

constexpr std::array<std::string_view, kSchemeCount> kSchemeNames = {"uint8",        "uint4",       "int8-tensor",
                                                                     "int8-channel", "uint4-group", "rate"};
constexpr std::array<std::string_view, 3> kRuntimeNames = {"compressed-tensors", "mlx", "gptq"};
constexpr double kLeastBits = 0.1;
constexpr double kMostBits = 8;

Status CheckTrellis(const Options& options) {
  if (!options.trellis) return OkStatus();
  auto unfit = [](const char* what) { return Error{ErrorCode::kInvalidArgument, what}; };
  if (options.scheme != Scheme::kRate)
    return unfit("a trellis is for bits per weight or a size, not for other schemes");
  if (options.runtime == Runtime::kGptq)
    return unfit("a trellis runs along rows, which the gptq layout does not store");
  if (options.calibration && options.calibration->HasHessians()) {
    return unfit("a trellis cannot make up for errors by a Hessian: use one or the other, or calibrate with --moments");
  }
  return options.archive_bytes ? OkStatus() : CheckTrellisBits(options.bits_per_weight);
}

}  // namespace

std::string_view Name(Runtime runtime) { return kRuntimeNames[static_cast<size_t>(runtime)]; }

std::optional<Runtime> ParseRuntime(std::string_view name) {
  auto found = std::find(kRuntimeNames.begin(), kRuntimeNames.end(), name);
  if (found == kRuntimeNames.end()) return std::nullopt;
  return static_cast<Runtime>(found - kRuntimeNames.begin());
}

std::string_view Name(Scheme scheme) { return kSchemeNames[static_cast<size_t>(scheme)]; }

std::optional<Scheme> ParseScheme(std::string_view name) {
  auto found = std::find(kSchemeNames.begin(), kSchemeNames.end(), name);
  if (found == kSchemeNames.end()) return std::nullopt;
  return static_cast<Scheme>(found - kSchemeNames.begin());
}

Status CheckTrellisBits(double bits_per_weight, double slack) {
  if (bits_per_weight >= Options::kLeastTrellisBits - slack && bits_per_weight <= Options::kMostTrellisBits + slack)
    return OkStatus();
  return Error{ErrorCode::kInvalidArgument, "bits per weight: a trellis serves from 1 to 5"};
}

Status CheckRate(double bits_per_weight) {
  if (bits_per_weight >= kLeastBits && bits_per_weight <= kMostBits) return OkStatus();
  return Error{ErrorCode::kInvalidArgument, "bits per weight: must be 0.1 to 8"};
}

Status CheckOptions(const Options& options) {
  if (options.group_size != 32 && options.group_size != 64 && options.group_size != 128) {
    return Error{ErrorCode::kInvalidArgument,
                 "group size: " + std::to_string(options.group_size) + " is not 32, 64 or 128"};
  }
  const bool may_be_asymmetric = options.scheme == Scheme::kUint8 || options.scheme == Scheme::kUint4 ||
                                 (options.scheme == Scheme::kUint4Group && !options.symmetric);
  if (options.runtime == Runtime::kGptq && may_be_asymmetric) {
    return Error{ErrorCode::kInvalidArgument,
                 "the gptq layout holds symmetric codes only: int8-tensor, int8-channel, uint4-group with --symmetric, "
                 "or a rate"};
  }
  ENTROFS_RETURN_IF_ERROR(CheckTrellis(options));
  return CheckRate(options.bits_per_weight);
}

}  // namespace entrofs::packer::quantize
