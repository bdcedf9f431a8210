#include "tests/support/sample_checkpoint.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>

#include "packer/source/safetensors.h"

namespace entrofs::testing_support {
namespace {

namespace stdfs = std::filesystem;
using packer::source::Dtype;

// The nearest-by-truncation element of `dtype`.
void AppendElement(Dtype dtype, float value, std::string& out) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (dtype == Dtype::kF32) {
    out.append(reinterpret_cast<const char*>(&bits), 4);
    return;
  }
  uint16_t half = static_cast<uint16_t>(bits >> 16);
  if (dtype == Dtype::kF16) {
    const int exponent = static_cast<int>(bits >> 23 & 0xff) - 127 + 15;
    const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
    half = exponent <= 0 ? sign : static_cast<uint16_t>(sign | exponent << 10 | (bits >> 13 & 0x3ff));
  }
  out.append(reinterpret_cast<const char*>(&half), 2);
}

std::map<std::string, std::string> FilesBelow(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : stdfs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).string();
    files[name] = entry.is_directory() ? "directory" : "file:" + ReadFile(entry.path().string());
  }
  return files;
}

}  // namespace

SampleTensor Weights(const std::string& name, Dtype dtype, const std::vector<uint64_t>& shape, uint32_t seed) {
  SampleTensor tensor{name, dtype, shape, {}};
  std::mt19937 random(seed);
  const uint64_t count = packer::source::ElementCount(shape).value();
  for (uint64_t i = 0; i < count; ++i) {
    // A sum of uniform numbers: std::normal_distribution differs between libraries.
    float value = 0;
    for (int j = 0; j < 8; ++j) value += static_cast<float>(random() >> 8) / (1 << 24) - 0.5f;
    value *= 0.03f;
    if (random() % 512 == 0) value *= 20;
    AppendElement(dtype, value, tensor.bytes);
  }
  return tensor;
}

std::string SafetensorsFile(const std::vector<SampleTensor>& tensors) {
  std::string json = "{\"__metadata__\":{\"format\":\"pt\"}";
  uint64_t offset = 0;
  std::string data;
  for (const SampleTensor& tensor : tensors) {
    json += ",\"" + tensor.name + "\":{\"dtype\":\"" + std::string(packer::source::Name(tensor.dtype)) +
            "\",\"shape\":" + packer::source::ShapeText(tensor.shape) + ",\"data_offsets\":[" + std::to_string(offset) +
            ",";
    offset += tensor.bytes.size();
    json += std::to_string(offset) + "]}";
    data += tensor.bytes;
  }
  json += "}";
  json.resize((json.size() + 7) / 8 * 8, ' ');
  std::string file(8, '\0');
  StoreLe<uint64_t>(file.data(), json.size());
  return file + json + data;
}

void WriteFile(const std::string& path, const std::string& content) {
  stdfs::create_directories(stdfs::path(path).parent_path());
  std::ofstream out(path, std::ios::binary);
  out << content;
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  std::ostringstream content;
  content << in.rdbuf();
  return content.str();
}

void WriteLlama(const std::string& folder, Dtype dtype, bool shards) {
  std::vector<SampleTensor> halves[2];
  uint32_t seed = 1;
  auto add = [&](int half, const std::string& name, const std::vector<uint64_t>& shape) {
    halves[half].push_back(Weights(name, dtype, shape, seed++));
  };
  add(0, "model.embed_tokens.weight", {256, 64});
  for (int layer = 0; layer < 2; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    add(layer, prefix + "input_layernorm.weight", {64});
    for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
      add(layer, prefix + "self_attn." + name + ".weight", {64, 64});
    }
    add(layer, prefix + "mlp.gate_proj.weight", {172, 64});
    add(layer, prefix + "mlp.up_proj.weight", {172, 64});
    add(layer, prefix + "mlp.down_proj.weight", {64, 172});
    add(layer, prefix + "post_attention_layernorm.weight", {64});
  }
  add(1, "model.norm.weight", {64});
  add(1, "lm_head.weight", {256, 64});

  WriteFile(folder + "/config.json",
            "{\n  \"architectures\": [\"LlamaForCausalLM\"],\n  \"hidden_size\": 64,\n  \"intermediate_size\": 172,\n  "
            "\"model_type\": \"llama\"\n}\n");
  WriteFile(folder + "/tokenizer.json", "{\"model\": {\"vocab\": {\"a\": 0, \"b\": 1}}}\n");
  if (!shards) {
    halves[0].insert(halves[0].end(), halves[1].begin(), halves[1].end());
    WriteFile(folder + "/model.safetensors", SafetensorsFile(halves[0]));
    return;
  }
  uint64_t total = 0;
  std::string weight_map;
  for (int half = 0; half < 2; ++half) {
    const std::string name = "model-0000" + std::to_string(half + 1) + "-of-00002.safetensors";
    WriteFile(folder + "/" + name, SafetensorsFile(halves[half]));
    for (const SampleTensor& tensor : halves[half]) {
      weight_map += (weight_map.empty() ? "" : ",") + ("\n    \"" + tensor.name + "\": \"" + name + "\"");
      total += tensor.bytes.size();
    }
  }
  WriteFile(folder + "/model.safetensors.index.json",
            "{\n  \"metadata\": {\n    \"total_size\": " + std::to_string(total) + "\n  },\n  \"weight_map\": {" +
                weight_map + "\n  }\n}\n");
}

std::string Difference(const std::string& a, const std::string& b) {
  const auto left = FilesBelow(a);
  const auto right = FilesBelow(b);
  for (const auto& [name, content] : left) {
    if (!right.contains(name)) return name + " is missing in " + b;
    if (right.at(name) != content) return name + " differs";
  }
  for (const auto& [name, content] : right) {
    if (!left.contains(name)) return name + " is missing in " + a;
  }
  return {};
}

std::string DataFolder() {
  const char* from_environment = std::getenv("ENTROFS_DATA");
  if (from_environment != nullptr) return from_environment;
  return std::string(ENTROFS_SOURCE_DIR) + "/../shared/data";
}

}  // namespace entrofs::testing_support
