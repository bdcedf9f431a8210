#include "packer/source/safetensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "packer/source/safetensors_json.h"
#include "packer/source/utf8.h"

namespace entrofs::packer::source {
namespace {

constexpr uint64_t kLengthFieldBytes = 8;

Error Corrupt(std::string message) { return Error{ErrorCode::kCorrupt, std::move(message)}; }

Error TensorError(const std::string& name, const std::string& what) {
  return Corrupt("tensor '" + name + "': " + what);
}

// The bytes that shape and dtype ask for.
Result<uint64_t> TensorBytes(const HeaderTensor& tensor) {
  std::optional<uint64_t> count = ElementCount(tensor.shape);
  uint64_t bits = 0;
  if (!count || __builtin_mul_overflow(*count, BitWidth(tensor.dtype), &bits)) {
    return TensorError(tensor.name, "shape " + ShapeText(tensor.shape) + " overflows");
  }
  if (bits % 8 != 0) {
    return TensorError(tensor.name, std::string(Name(tensor.dtype)) + " of shape " + ShapeText(tensor.shape) +
                                        " does not end on a whole byte");
  }
  return bits / 8;
}

// Checks that `tensor` starts at `start` and has the size its shape asks for.
Status CheckPlace(const HeaderTensor& tensor, uint64_t start) {
  const std::string offsets = "[" + std::to_string(tensor.begin) + ", " + std::to_string(tensor.end) + "]";
  if (tensor.end < tensor.begin) return TensorError(tensor.name, "data_offsets " + offsets + " run backwards");
  if (tensor.begin > start) {
    return TensorError(tensor.name, "data_offsets " + offsets + " leave a hole after byte " + std::to_string(start));
  }
  if (tensor.begin < start) {
    return TensorError(tensor.name,
                       "data_offsets " + offsets + " overlap the tensor that ends at byte " + std::to_string(start));
  }
  ENTROFS_ASSIGN_OR_RETURN(uint64_t bytes, TensorBytes(tensor));
  if (bytes != tensor.end - tensor.begin) {
    return TensorError(tensor.name, std::string(Name(tensor.dtype)) + " of shape " + ShapeText(tensor.shape) +
                                        " takes " + std::to_string(bytes) + " bytes, data_offsets " + offsets +
                                        " hold " + std::to_string(tensor.end - tensor.begin));
  }
  return OkStatus();
}

// Of tensors named twice the last stays.
void KeepLastOfEachName(std::vector<HeaderTensor>& tensors) {
  std::unordered_map<std::string_view, size_t> last;
  last.reserve(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) last[tensors[i].name] = i;
  if (last.size() == tensors.size()) return;
  std::vector<HeaderTensor> kept;
  kept.reserve(last.size());
  std::vector<bool> keep(tensors.size());
  for (const auto& [name, index] : last) keep[index] = true;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (keep[i]) kept.push_back(std::move(tensors[i]));
  }
  tensors = std::move(kept);
}

// JSON string literal of any UTF-8 text.
std::string Quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Result<SafetensorsHeader> ParseSafetensorsHeader(std::string_view json, uint64_t file_bytes) {
  if (std::optional<size_t> bad = FindInvalidUtf8(json)) {
    return Corrupt("safetensors header is not UTF-8 at byte " + std::to_string(kLengthFieldBytes + *bad));
  }
  ENTROFS_ASSIGN_OR_RETURN(HeaderJson parsed, ParseHeaderJson(json));
  KeepLastOfEachName(parsed.tensors);
  std::sort(parsed.tensors.begin(), parsed.tensors.end(), [](const HeaderTensor& a, const HeaderTensor& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });

  SafetensorsHeader header;
  header.metadata = std::move(parsed.metadata);
  header.data_start_bytes = kLengthFieldBytes + json.size();
  const uint64_t data_bytes = file_bytes - header.data_start_bytes;
  header.tensors.reserve(parsed.tensors.size());
  uint64_t start = 0;
  for (HeaderTensor& tensor : parsed.tensors) {
    ENTROFS_RETURN_IF_ERROR(CheckPlace(tensor, start));
    start = tensor.end;
    if (start > data_bytes) {
      return TensorError(tensor.name, "ends at byte " + std::to_string(start) + " of the data, which has " +
                                          std::to_string(data_bytes) + " bytes");
    }
    header.tensors.push_back(TensorInfo{std::move(tensor.name), tensor.dtype, std::move(tensor.shape),
                                        header.data_start_bytes + tensor.begin, tensor.end - tensor.begin});
  }
  if (start != data_bytes) {
    return Corrupt(std::to_string(data_bytes - start) + " bytes follow the last tensor");
  }
  return header;
}

Result<SafetensorsHeader> ReadSafetensorsHeader(const RandomAccessFile& file) {
  if (file.size() < kLengthFieldBytes) return Corrupt("shorter than the 8 bytes of a safetensors header length");
  std::array<uint8_t, kLengthFieldBytes> length_field;
  ENTROFS_RETURN_IF_ERROR(file.ReadAt(0, length_field));
  const uint64_t length = LoadLe<uint64_t>(length_field.data());
  if (length > kMaxSafetensorsHeaderBytes) {
    return Corrupt("safetensors header of " + std::to_string(length) + " bytes is over the limit of 100 MB");
  }
  if (length > file.size() - kLengthFieldBytes) {
    return Corrupt("safetensors header of " + std::to_string(length) + " bytes is longer than the file");
  }
  std::string json(length, '\0');
  ENTROFS_RETURN_IF_ERROR(file.ReadAt(kLengthFieldBytes, {reinterpret_cast<uint8_t*>(json.data()), json.size()}));
  return ParseSafetensorsHeader(json, file.size());
}

Result<std::string> EncodeSafetensorsHeader(std::span<const TensorInfo> tensors, const SafetensorsMetadata& metadata) {
  std::string text(kLengthFieldBytes, '\0');
  text += '{';
  if (!metadata.empty()) {
    text += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) text += Quoted(key) + ":" + Quoted(value) + ",";
    text.back() = '}';
  }
  uint64_t offset = 0;
  for (const TensorInfo& tensor : tensors) {
    if (text.back() != '{') text += ',';
    text += Quoted(tensor.name) + ":{\"dtype\":\"" + std::string(Name(tensor.dtype)) + "\",\"shape\":[";
    for (size_t i = 0; i < tensor.shape.size(); ++i) text += (i > 0 ? "," : "") + std::to_string(tensor.shape[i]);
    text += "],\"data_offsets\":[" + std::to_string(offset) + ",";
    offset += tensor.size_bytes;
    text += std::to_string(offset) + "]}";
  }
  text += '}';
  text.resize((text.size() + kSafetensorsDataAlignment - 1) / kSafetensorsDataAlignment * kSafetensorsDataAlignment,
              ' ');
  const uint64_t length = text.size() - kLengthFieldBytes;
  if (length > kMaxSafetensorsHeaderBytes) {
    return Error{ErrorCode::kInvalidArgument, "a safetensors header for these tensors would be over 100 MB"};
  }
  StoreLe<uint64_t>(text.data(), length);
  return text;
}

}  // namespace entrofs::packer::source
