#include "packer/quantize/forms/quantization_config.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "packer/quantize/selection/eligibility.h"
#include "packer/source/json_text.h"

namespace entrofs::packer::quantize::forms {
namespace {

using Json = nlohmann::ordered_json;

const char* FormatName(const Form& form) {
  return form.format == Form::Format::kNaive ? "naive-quantized" : "pack-quantized";
}

Json WeightsOf(const Form& form) {
  const char* strategy = form.group_size != 0 ? "group" : "channel";
  if (form.format == Form::Format::kNaive) strategy = "tensor";
  Json weights;
  weights["num_bits"] = form.bits;
  weights["type"] = "int";
  weights["symmetric"] = form.symmetric;
  weights["strategy"] = strategy;
  weights["group_size"] = form.group_size != 0 ? Json(form.group_size) : Json(nullptr);
  weights["block_structure"] = nullptr;
  weights["dynamic"] = false;
  weights["actorder"] = nullptr;
  weights["observer"] = "minmax";
  weights["observer_kwargs"] = Json::object();
  return weights;
}

Json GroupOf(const Form& form, const std::vector<std::string>& targets) {
  Json group;
  group["targets"] = targets;
  group["weights"] = WeightsOf(form);
  group["input_activations"] = nullptr;
  group["output_activations"] = nullptr;
  group["format"] = FormatName(form);
  return group;
}

std::vector<std::string> ModulesToIgnore(std::span<const TensorPlan> tensors) {
  std::set<std::string> modules = {"lm_head"};
  for (const TensorPlan& tensor : tensors) {
    if (tensor.form) continue;
    const tree::OutputTensor& kept = tensor.outputs.front();
    selection::Role role = selection::RoleOf(kept);
    if (role == selection::Role::kLinear || role == selection::Role::kHead)
      modules.insert(selection::ModuleName(kept.name));
  }
  for (const TensorPlan& tensor : tensors) {
    if (tensor.form) modules.erase(selection::ModuleName(tensor.outputs.front().belongs_to));
  }
  return {modules.begin(), modules.end()};
}

// Of the first quantized tensor: runtimes other than compressed-tensors have one layout for all.
const Form& AnyLayout(std::span<const TensorPlan> tensors) {
  return *std::find_if(tensors.begin(), tensors.end(), [](const TensorPlan& t) { return t.form; })->form;
}

Json MlxConfig(const Form& form) { return {{"group_size", form.group_size}, {"bits", form.bits}}; }

Json GptqConfig(const Form& form) {
  return {{"quant_method", "gptq"},
          {"bits", form.bits},
          {"group_size", form.group_size == 0 ? Json(-1) : Json(form.group_size)},
          {"desc_act", false},
          {"sym", true},
          {"lm_head", false},
          {"checkpoint_format", "gptq"},
          {"true_sequential", true}};
}

// A single layout targets every Linear module that is not ignored; of several, each names its modules.
Json QuantizationConfig(std::span<const TensorPlan> tensors) {
  std::map<Form, std::vector<std::string>> modules;
  for (const TensorPlan& tensor : tensors) {
    if (tensor.form) modules[*tensor.form].push_back(selection::ModuleName(tensor.outputs.front().belongs_to));
  }
  if (modules.empty()) return nullptr;
  if (AnyLayout(tensors).format == Form::Format::kMlx) return MlxConfig(AnyLayout(tensors));
  if (AnyLayout(tensors).format == Form::Format::kGptq) return GptqConfig(AnyLayout(tensors));
  if (modules.size() == 1) modules.begin()->second = {"Linear"};

  Json config;
  config["quant_method"] = "compressed-tensors";
  config["format"] = FormatName(modules.begin()->first);
  config["quantization_status"] = "compressed";
  config["global_compression_ratio"] = nullptr;
  config["kv_cache_scheme"] = nullptr;
  config["ignore"] = ModulesToIgnore(tensors);
  size_t number = 0;
  for (const auto& [form, targets] : modules) {
    config["config_groups"]["group_" + std::to_string(number++)] = GroupOf(form, targets);
  }
  return config;
}

// `text` indented by two spaces, all lines but the first.
std::string Indented(const std::string& text) {
  std::string indented;
  for (char c : text) {
    indented += c;
    if (c == '\n') indented += "  ";
  }
  return indented;
}

}  // namespace

Result<std::string> AddQuantizationConfig(std::string_view config_json, std::span<const TensorPlan> tensors) {
  ENTROFS_ASSIGN_OR_RETURN(Json config, source::ParseJsonText(config_json));
  if (!config.is_object()) return Error{ErrorCode::kInvalidArgument, "not a JSON object"};
  if (config.contains("quantization_config") || config.contains("quantization")) {
    return Error{ErrorCode::kInvalidArgument, "has a quantization_config: the checkpoint is quantized already"};
  }
  Json addition = QuantizationConfig(tensors);
  if (addition.is_null()) return std::string(config_json);

  // The last brace closes the object; the new member goes behind the last one.
  const size_t brace = config_json.rfind('}');
  const size_t last = config_json.find_last_not_of(" \t\r\n", brace - 1);
  std::string text(config_json.substr(0, last + 1));
  if (!config.empty()) text += ',';
  // MLX looks for "quantization" first; its converters write both.
  if (AnyLayout(tensors).format == Form::Format::kMlx) {
    text += "\n  \"quantization\": " + Indented(addition.dump(2)) + ",";
  }
  text += "\n  \"quantization_config\": " + Indented(addition.dump(2)) + "\n";
  text += config_json.substr(brace);
  return text;
}

}  // namespace entrofs::packer::quantize::forms
