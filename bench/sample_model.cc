#include "bench/sample_model.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "archive/archive_reader.h"
#include "base/thread_pool.h"
#include "bench/inputs.h"
#include "bench/process.h"
#include "packer/pack/pack.h"
#include "packer/read/progress.h"
#include "packer/source/checkpoint.h"

namespace entrofs::bench {
namespace {

namespace stdfs = std::filesystem;
using packer::source::Dtype;
using packer::source::TensorInfo;

// Real weights are few; a prime keeps their repetitions from falling on the same places.
constexpr uint64_t kShiftBytes = 1000003;
constexpr uint64_t kSyntheticBytes = 32 << 20;

// Layers of GPT-Neo are 12 width^2 int8 weights; narrow ones for small models.
uint64_t Width(uint64_t size_bytes) {
  for (uint64_t width : {2048, 768, 256}) {
    if (12 * width * width * 4 <= size_bytes) return width;
  }
  return 128;
}

struct Matrix {
  const char* name;
  uint64_t rows, columns;  // in widths
};
constexpr Matrix kMatrices[] = {
    {"attn.attention.k_proj", 1, 1},
    {"attn.attention.out_proj", 1, 1},
    {"attn.attention.q_proj", 1, 1},
    {"attn.attention.v_proj", 1, 1},
    {"mlp.c_fc", 4, 1},
    {"mlp.c_proj", 1, 4},
};

// In the order of the safetensors library: larger elements first.
std::vector<TensorInfo> Tensors(uint64_t size_bytes) {
  const uint64_t width = Width(size_bytes);
  const uint64_t layers = (size_bytes + 12 * width * width - 1) / (12 * width * width);
  std::vector<TensorInfo> scales, weights;
  for (uint64_t layer = 0; layer < layers; ++layer) {
    const std::string prefix = "transformer.h." + std::to_string(layer) + ".";
    for (const Matrix& matrix : kMatrices) {
      const uint64_t rows = matrix.rows * width, columns = matrix.columns * width;
      const std::string name = prefix + matrix.name + ".weight";
      scales.push_back({name + "_scale", Dtype::kF32, {rows, 1}, 0, rows * sizeof(float)});
      weights.push_back({name, Dtype::kI8, {rows, columns}, 0, rows * columns});
    }
  }
  scales.insert(scales.end(), weights.begin(), weights.end());
  return scales;
}

Result<std::vector<uint8_t>> SourceWeights(const std::string& checkpoint_path, bool& real) {
  real = stdfs::exists(checkpoint_path);
  ENTROFS_ASSIGN_OR_RETURN(Input input,
                           MakeInput(real ? "real-int8-row" : "int8-row", kSyntheticBytes, checkpoint_path));
  return std::move(input.plain);
}

void WriteScales(const TensorInfo& tensor, std::ofstream& out) {
  for (uint64_t i = 0; i < tensor.element_count(); ++i) {
    const float scale = 0.001f + 0.00001f * static_cast<float>((i * 7919 + tensor.name.size()) % 1000);
    out.write(reinterpret_cast<const char*>(&scale), sizeof scale);
  }
}

// Each tensor starts elsewhere in the source.
void WriteWeights(const TensorInfo& tensor, size_t number, const std::vector<uint8_t>& source, std::ofstream& out) {
  uint64_t at = number * kShiftBytes % source.size();
  for (uint64_t left = tensor.size_bytes; left > 0;) {
    const uint64_t count = std::min(left, source.size() - at);
    out.write(reinterpret_cast<const char*>(source.data() + at), static_cast<std::streamsize>(count));
    left -= count;
    at = 0;
  }
}

Status WritePlain(const std::string& path, const std::vector<TensorInfo>& tensors, const std::string& header,
                  const std::vector<uint8_t>& source) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(header.data(), static_cast<std::streamsize>(header.size()));
  for (size_t i = 0; i < tensors.size() && out; ++i) {
    ENTROFS_RETURN_IF_ERROR(CheckInterrupted());
    if (tensors[i].dtype == Dtype::kF32) {
      WriteScales(tensors[i], out);
    } else {
      WriteWeights(tensors[i], i, source, out);
    }
  }
  out.close();
  if (!out) return Error{ErrorCode::kIo, path + ": cannot write"};
  return OkStatus();
}

Status PackPlain(const SampleModel& model) {
  ENTROFS_ASSIGN_OR_RETURN(packer::source::Checkpoint checkpoint, packer::source::OpenCheckpoint(model.plain_path));
  const packer::tree::OutputTree tree = packer::tree::LosslessTree(checkpoint);
  packer::pack::PackOptions options;
  options.codec = packer::pack::CodecChoice::kTans;
  options.verify = false;  // every mount is compared with the plain file
  ThreadPool pool(ThreadPool::AvailableCpus());
  packer::read::NoProgress progress;
  auto result = packer::pack::Pack(tree, model.archive_path, options, pool, progress);
  if (!result) return std::move(result.error());
  return OkStatus();
}

// Whether `model` is there, whole, from before.
bool IsMade(const SampleModel& model, uint64_t plain_bytes) {
  std::error_code error;
  if (stdfs::file_size(model.plain_path, error) != plain_bytes || error) return false;
  auto file = OpenForReading(model.archive_path);
  if (!file) return false;
  auto reader = archive::ArchiveReader::Open(std::move(*file), model.archive_path);
  return reader && (*reader)->index().files.size() == 1 && (*reader)->index().files[0].size_bytes == plain_bytes;
}

}  // namespace

Result<SampleModel> MakeSampleModel(const std::string& folder, uint64_t size_bytes,
                                    const std::string& checkpoint_path) {
  SampleModel model;
  model.plain_path = folder + "/" + kModelName;
  model.archive_path = folder + "/model.entro";
  const std::vector<TensorInfo> tensors = Tensors(size_bytes);
  ENTROFS_ASSIGN_OR_RETURN(std::string header, packer::source::EncodeSafetensorsHeader(tensors, {{"format", "pt"}}));
  model.plain_bytes = model.weights_begin = header.size();
  for (const TensorInfo& tensor : tensors) {
    model.plain_bytes += tensor.size_bytes;
    if (tensor.dtype == Dtype::kF32) model.weights_begin += tensor.size_bytes;
  }
  ENTROFS_ASSIGN_OR_RETURN(std::vector<uint8_t> source, SourceWeights(checkpoint_path, model.real_weights));
  if (!IsMade(model, model.plain_bytes)) {
    ENTROFS_RETURN_IF_ERROR(WritePlain(model.plain_path, tensors, header, source));
    ENTROFS_RETURN_IF_ERROR(PackPlain(model));
  }
  model.archive_bytes = stdfs::file_size(model.archive_path);
  return model;
}

std::string DefaultCheckpointPath() {
  const char* data = std::getenv("ENTROFS_DATA");
  const std::string folder = data != nullptr ? data : ENTROFS_SOURCE_DIR "/../shared/data";
  return folder + "/gpt-neo-125m-attn/model.safetensors";
}

}  // namespace entrofs::bench
