#include "packer/quantize/already_quantized.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "packer/quantize/forms/config_text.h"
#include "packer/quantize/quantized_files.h"
#include "packer/source/json_text.h"

namespace entrofs::packer::quantize {
namespace {

// Of AutoGPTQ, NVIDIA's ModelOpt and AutoAWQ.
constexpr std::array<std::string_view, 3> kFilesOfQuantizers = {"quantize_config.json", "hf_quant_config.json",
                                                                "quant_config.json"};

std::string_view NameOf(std::string_view path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

Status CheckIsNotQuantized(const source::Checkpoint& checkpoint) {
  for (const source::CheckpointFile& file : checkpoint.files) {
    const std::string_view name = NameOf(file.path);
    const bool is_of_quantizer =
        std::find(kFilesOfQuantizers.begin(), kFilesOfQuantizers.end(), name) != kFilesOfQuantizers.end();
    if (name != "config.json" && !is_of_quantizer) continue;
    ENTROFS_ASSIGN_OR_RETURN(const std::string text, ReadText(file));
    Result<nlohmann::ordered_json> config = source::ParseJsonText(forms::WithFiniteNumbers(text));
    if (!config || !config->is_object()) continue;  // says nothing
    if (is_of_quantizer && !config->empty()) {
      return Error{ErrorCode::kUnsupported, file.path + ": says that the checkpoint is quantized already"};
    }
    if (forms::SaysQuantized(*config)) {
      return Error{ErrorCode::kUnsupported,
                   file.path + ": has a quantization_config: the checkpoint is quantized already"};
    }
  }
  return OkStatus();
}

}  // namespace entrofs::packer::quantize
