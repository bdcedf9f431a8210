#include "packer/quantize/forms/quantization_config.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "packer/quantize/forms/config_text.h"
#include "packer/quantize/forms/module_patterns.h"
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

// Heads that transformers ties to the embedding, and which need not have a tensor.
constexpr std::array<const char*, 6> kTiedHeads = {
    "lm_head", "proj_out", "embed_out", "output_projection", "cls.predictions.decoder", "lm_head.decoder"};

// Every module that may be a Linear layer and is not quantized: any matrix, whatever its name or dtype.
std::vector<std::string> ModulesToIgnore(std::span<const TensorPlan> tensors) {
  std::set<std::string> modules(kTiedHeads.begin(), kTiedHeads.end());
  for (const TensorPlan& tensor : tensors) {
    if (tensor.form) continue;
    const tree::OutputTensor& kept = tensor.outputs.front();
    if (kept.shape.size() == 2 && kept.name.ends_with(".weight")) modules.insert(selection::ModuleName(kept.name));
  }
  for (const TensorPlan& tensor : tensors) {
    if (tensor.form) modules.erase(selection::ModuleName(tensor.outputs.front().belongs_to));
  }
  return {modules.begin(), modules.end()};
}

// Of the first quantized tensor: runtimes other than compressed-tensors have one layout for all.
const Form& AnyForm(std::span<const TensorPlan> tensors) {
  return *std::find_if(tensors.begin(), tensors.end(), [](const TensorPlan& t) { return t.form; })->form;
}

Json MlxConfig(const Form& form) { return {{"group_size", form.group_size}, {"bits", form.bits}}; }

// GPTQModel takes every Linear layer for quantized but those that a "dynamic" rule with "-:" matches, by regular
// expressions without the prefix of compressed-tensors. `ignored` are patterns as ModulePatterns writes them.
Json GptqConfig(const Form& form, const std::vector<std::string>& ignored) {
  constexpr std::string_view kPatternPrefix = "re:";
  Json dynamic = Json::object();
  for (const std::string& module : ignored) {
    const bool is_pattern = module.starts_with(kPatternPrefix);
    dynamic["-:" + (is_pattern ? module.substr(kPatternPrefix.size()) : "^" + module + "$")] = Json::object();
  }
  return {{"quant_method", "gptq"},
          {"bits", form.bits},
          {"group_size", form.group_size == 0 ? Json(-1) : Json(form.group_size)},
          {"desc_act", false},
          {"sym", true},
          {"lm_head", false},
          {"dynamic", dynamic},
          {"checkpoint_format", "gptq"},
          {"true_sequential", true}};
}

// The modules of each form, and those left alone, by patterns of their names.
Json QuantizationConfig(std::span<const TensorPlan> tensors) {
  std::map<Form, std::vector<std::string>> modules;
  for (const TensorPlan& tensor : tensors) {
    if (tensor.form) modules[*tensor.form].push_back(selection::ModuleName(tensor.outputs.front().belongs_to));
  }
  if (modules.empty()) return nullptr;
  if (AnyForm(tensors).format == Form::Format::kMlx) return MlxConfig(AnyForm(tensors));
  const std::vector<std::string> ignored = ModulesToIgnore(tensors);
  std::vector<std::vector<std::string>> sets = {ignored};
  for (const auto& [form, targets] : modules) sets.push_back(targets);
  const std::vector<std::vector<std::string>> patterns = ModulePatterns(sets);
  if (AnyForm(tensors).format == Form::Format::kGptq) return GptqConfig(AnyForm(tensors), patterns[0]);

  Json config;
  config["quant_method"] = "compressed-tensors";
  config["format"] = FormatName(modules.begin()->first);
  config["quantization_status"] = "compressed";
  config["global_compression_ratio"] = nullptr;
  config["kv_cache_scheme"] = nullptr;
  config["ignore"] = patterns[0];
  size_t number = 0;
  for (const auto& [form, unused] : modules) {
    config["config_groups"]["group_" + std::to_string(number)] = GroupOf(form, patterns[number + 1]);
    ++number;
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

Result<std::string> AddQuantizationConfig(std::string_view original, std::span<const TensorPlan> tensors) {
  ENTROFS_ASSIGN_OR_RETURN(Json config, source::ParseJsonText(WithFiniteNumbers(original)));
  if (!config.is_object()) return Error{ErrorCode::kInvalidArgument, "not a JSON object"};
  if (SaysQuantized(config)) {
    return Error{ErrorCode::kInvalidArgument, "has a quantization_config: the checkpoint is quantized already"};
  }
  Json addition = QuantizationConfig(tensors);
  if (addition.is_null()) return std::string(original);
  const std::string config_json = WithoutEmptyQuantization(original);

  // The last brace closes the object; the new member goes behind the last one.
  const size_t brace = config_json.rfind('}');
  const size_t last = config_json.find_last_not_of(" \t\r\n", brace - 1);
  std::string text(config_json.substr(0, last + 1));
  if (text.back() != '{') text += ',';
  // MLX looks for "quantization" first; its converters write both.
  if (AnyForm(tensors).format == Form::Format::kMlx) {
    text += "\n  \"quantization\": " + Indented(addition.dump(2)) + ",";
  }
  text += "\n  \"quantization_config\": " + Indented(addition.dump(2)) + "\n";
  text += config_json.substr(brace);
  return text;
}

}  // namespace entrofs::packer::quantize::forms
