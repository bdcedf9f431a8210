#include "packer/quantize/selection/packed_architectures.h"

#include <algorithm>
#include <iterator>

#include "packer/source/json_text.h"

namespace entrofs::packer::quantize::selection {
namespace {

// Sorted. Right: tiny checkpoints of these, packed with int8-channel, uint8 and uint4-group (groups of 32), gave the
// weights and logits of independently dequantized twins in transformers 5.12. Wrong: they did not load, or loaded other
// weights.
constexpr std::string_view kRight[] = {
#include "packer/quantize/selection/packed_right.inc"
};
constexpr std::string_view kWrong[] = {
#include "packer/quantize/selection/packed_wrong.inc"
};

}  // namespace

PackedLoading PackedLoadingOf(std::string_view model_type) {
  if (std::binary_search(std::begin(kRight), std::end(kRight), model_type)) return PackedLoading::kRight;
  if (std::binary_search(std::begin(kWrong), std::end(kWrong), model_type)) return PackedLoading::kWrong;
  return PackedLoading::kUnknown;
}

std::string ModelTypeOf(std::string_view config_json) {
  Result<nlohmann::ordered_json> config = source::ParseJsonText(config_json);
  if (!config || !config->is_object()) return {};
  auto found = config->find("model_type");
  return found != config->end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace entrofs::packer::quantize::selection
