#include "bench/sample_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/hash.h"
#include "bench/random.h"
#include "packer/quantize/arithmetic/float_formats.h"
#include "packer/source/safetensors.h"

namespace entrofs::bench {
namespace {

using packer::source::Dtype;
using packer::source::TensorInfo;

constexpr uint64_t kHeadSize = 64;
constexpr uint64_t kHiddenStep = 128;
constexpr uint64_t kMaxHidden = 8192;
constexpr uint64_t kMinLayers = 2;
constexpr uint64_t kMinWeights = 500'000;
constexpr unsigned kMaxShards = 1000;

// With these a matrix quantized by tensor to 8 bits has an entropy of 5 to 6 bits, as those of trained models do.
constexpr double kRowLogSigma = 0.25;
constexpr unsigned kOutliersPer65536 = 8;

SampleShape ShapeOfHidden(uint64_t hidden, uint64_t layers) {
  SampleShape shape;
  shape.hidden = hidden;
  shape.layers = layers;
  shape.intermediate = (hidden * 8 / 3 + kHiddenStep - 1) / kHiddenStep * kHiddenStep;
  shape.heads = hidden / kHeadSize;
  shape.key_value_heads = shape.heads / 2;
  shape.vocabulary = std::min<uint64_t>(hidden * 8, 32000);
  return shape;
}

uint64_t BytesOf(const TensorInfo& tensor) { return tensor.element_count() * BitWidth(tensor.dtype) / 8; }

// Splits `tensors`, in order, into `count` runs of about the same number of bytes, none empty.
std::vector<std::vector<TensorInfo>> SplitIntoShards(const std::vector<TensorInfo>& tensors, unsigned count) {
  uint64_t total = 0, before = 0;
  for (const TensorInfo& tensor : tensors) total += BytesOf(tensor);
  std::vector<std::vector<TensorInfo>> shards(1);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const bool wanted = before * count >= total * shards.size();
    const bool must = tensors.size() - i <= count - shards.size();
    if (shards.size() < count && !shards.back().empty() && (wanted || must)) shards.emplace_back();
    shards.back().push_back(tensors[i]);
    before += BytesOf(tensors[i]);
  }
  return shards;
}

std::string ShardName(size_t number, size_t count) {
  if (count == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", number + 1, count);
  return name;
}

// Norms lie around one; rows of matrices are normal, each with a spread of its own, and have a few outliers.
void FillRow(const TensorInfo& tensor, Random& random, std::vector<float>& row) {
  const bool is_norm = tensor.shape.size() == 1;
  const double sigma = is_norm ? 0.1 : random.RowSigma(1 / std::sqrt(static_cast<double>(row.size())), kRowLogSigma);
  for (float& weight : row) {
    weight = static_cast<float>(is_norm ? 1 + sigma * random.Normal() : sigma * random.WithOutliers(kOutliersPer65536));
  }
}

Status AppendWeights(const TensorInfo& tensor, uint64_t seed, NewFile& file) {
  Random random(seed);
  std::vector<float> row(tensor.shape.back());
  const size_t width = packer::quantize::arithmetic::ByteWidth(tensor.dtype);
  std::vector<uint8_t> encoded(row.size() * width);
  const uint64_t row_count = tensor.element_count() / row.size();
  for (uint64_t i = 0; i < row_count; ++i) {
    FillRow(tensor, random, row);
    packer::quantize::arithmetic::RoundFloats(tensor.dtype, row.data(), row.size());
    for (size_t j = 0; j < row.size(); ++j) {
      packer::quantize::arithmetic::EncodeFloat(tensor.dtype, row[j], encoded.data() + j * width);
    }
    ENTROFS_RETURN_IF_ERROR(file.Append(encoded));
  }
  return OkStatus();
}

Status WriteText(const std::string& path, const std::string& text) {
  ENTROFS_ASSIGN_OR_RETURN(auto file, CreateFile(path));
  ENTROFS_RETURN_IF_ERROR(file->Append(AsBytes(text)));
  return file->Commit();
}

Status WriteShard(const std::string& path, const std::vector<TensorInfo>& tensors, uint64_t seed) {
  ENTROFS_ASSIGN_OR_RETURN(std::string header, packer::source::EncodeSafetensorsHeader(tensors, {{"format", "pt"}}));
  ENTROFS_ASSIGN_OR_RETURN(auto file, CreateFile(path));
  ENTROFS_RETURN_IF_ERROR(file->Append(AsBytes(header)));
  for (const TensorInfo& tensor : tensors) {
    // By name, so that the weights do not depend on the number of shards.
    const uint64_t tensor_seed = Hash64(AsBytes(tensor.name), seed);
    ENTROFS_RETURN_IF_ERROR(AppendWeights(tensor, tensor_seed, *file));
  }
  return file->Commit();
}

Status WriteWeights(const SampleOptions& options, const std::string& directory, const SampleShape& shape) {
  const auto shards = SplitIntoShards(ListTensors(shape, options.dtype), options.shards);
  nlohmann::ordered_json weight_map;
  uint64_t total_bytes = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = ShardName(i, shards.size());
    ENTROFS_RETURN_IF_ERROR(WriteShard(directory + "/" + name, shards[i], options.seed));
    for (const TensorInfo& tensor : shards[i]) {
      weight_map[tensor.name] = name;
      total_bytes += BytesOf(tensor);
    }
  }
  if (shards.size() == 1) return OkStatus();
  const nlohmann::ordered_json index = {{"metadata", {{"total_size", total_bytes}}}, {"weight_map", weight_map}};
  return WriteText(directory + "/model.safetensors.index.json", index.dump(2) + "\n");
}

Status MakeEmptyDirectory(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return SystemError("create", error.value()).WithContext(directory);
  const bool empty = std::filesystem::is_empty(directory, error);
  if (error || !empty) return Error{ErrorCode::kInvalidArgument, directory + ": not an empty directory"};
  return OkStatus();
}

}  // namespace

uint64_t SampleShape::weight_count() const {
  uint64_t count = 0;
  for (const TensorInfo& tensor : ListTensors(*this, Dtype::kBf16)) count += tensor.element_count();
  return count;
}

SampleShape ChooseShape(uint64_t weight_count) {
  SampleShape best = ShapeOfHidden(kHiddenStep, kMinLayers);
  for (uint64_t hidden = kHiddenStep; hidden <= kMaxHidden; hidden += kHiddenStep) {
    const uint64_t outside = ShapeOfHidden(hidden, 0).weight_count();
    const uint64_t per_layer = ShapeOfHidden(hidden, 1).weight_count() - outside;
    if (outside >= weight_count) break;
    const uint64_t layers = (weight_count - outside + per_layer / 2) / per_layer;
    if (layers < std::max(kMinLayers, hidden / 128)) break;  // wide and shallow: not what real models look like
    best = ShapeOfHidden(hidden, layers);
  }
  return best;
}

std::vector<TensorInfo> ListTensors(const SampleShape& shape, Dtype dtype) {
  std::vector<TensorInfo> tensors;
  const auto add = [&](std::string name, std::vector<uint64_t> dimensions) {
    TensorInfo tensor{std::move(name), dtype, std::move(dimensions), 0, 0};
    tensor.size_bytes = BytesOf(tensor);
    tensors.push_back(std::move(tensor));
  };
  const uint64_t key_value_size = shape.key_value_heads * kHeadSize;
  add("model.embed_tokens.weight", {shape.vocabulary, shape.hidden});
  for (uint64_t i = 0; i < shape.layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    add(layer + "input_layernorm.weight", {shape.hidden});
    add(layer + "self_attn.q_proj.weight", {shape.hidden, shape.hidden});
    add(layer + "self_attn.k_proj.weight", {key_value_size, shape.hidden});
    add(layer + "self_attn.v_proj.weight", {key_value_size, shape.hidden});
    add(layer + "self_attn.o_proj.weight", {shape.hidden, shape.hidden});
    add(layer + "post_attention_layernorm.weight", {shape.hidden});
    add(layer + "mlp.gate_proj.weight", {shape.intermediate, shape.hidden});
    add(layer + "mlp.up_proj.weight", {shape.intermediate, shape.hidden});
    add(layer + "mlp.down_proj.weight", {shape.hidden, shape.intermediate});
  }
  add("model.norm.weight", {shape.hidden});
  add("lm_head.weight", {shape.vocabulary, shape.hidden});
  return tensors;
}

Status WriteSampleCheckpoint(const SampleOptions& options, const std::string& directory) {
  if (!packer::quantize::arithmetic::IsQuantizable(options.dtype)) {
    return Error{ErrorCode::kInvalidArgument, "dtype must be BF16, F16 or F32"};
  }
  const uint64_t weight_count = options.size_bytes * 8 / BitWidth(options.dtype);
  if (weight_count < kMinWeights) return Error{ErrorCode::kInvalidArgument, "size: a Llama does not get so small"};
  const SampleShape shape = ChooseShape(weight_count);
  if (options.shards == 0 || options.shards > std::min<size_t>(kMaxShards, ListTensors(shape, options.dtype).size())) {
    return Error{ErrorCode::kInvalidArgument, "shards: from 1 to the number of tensors, at most 1000"};
  }
  ENTROFS_RETURN_IF_ERROR(MakeEmptyDirectory(directory));
  ENTROFS_RETURN_IF_ERROR(WriteText(directory + "/config.json", SampleConfig(shape, options.dtype)));
  ENTROFS_RETURN_IF_ERROR(WriteText(directory + "/generation_config.json", SampleGenerationConfig()));
  ENTROFS_RETURN_IF_ERROR(WriteText(directory + "/tokenizer.json", SampleTokenizer()));
  ENTROFS_RETURN_IF_ERROR(WriteText(directory + "/tokenizer_config.json", SampleTokenizerConfig()));
  return WriteWeights(options, directory, shape);
}

}  // namespace entrofs::bench
