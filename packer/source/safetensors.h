#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "packer/source/tensor.h"

// The safetensors file format: 8 bytes of header length, that much JSON, then the tensors' bytes without gaps.
namespace entrofs::packer::source {

inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;
// Headers we write end on a multiple of this, so that tensor data can be mapped without copying.
inline constexpr uint64_t kSafetensorsDataAlignment = 4096;

using SafetensorsMetadata = std::map<std::string, std::string>;

struct SafetensorsHeader {
  // Where tensor data starts: the length field and the JSON.
  uint64_t data_start_bytes = 0;
  // By offset, then name. Together they cover the file from data_start_bytes to its end exactly.
  std::vector<TensorInfo> tensors;
  // The strings under "__metadata__".
  SafetensorsMetadata metadata;
};

// Parses the JSON of a header, untrusted, of a file of `file_bytes` bytes. Accepts and refuses what huggingface's
// reader does; of tensors that are named twice the last counts, as there. kCorrupt with a message that names the tensor
// where one is at fault; kUnsupported for a dtype that we do not know.
Result<SafetensorsHeader> ParseSafetensorsHeader(std::string_view json, uint64_t file_bytes);

// Reads and parses the header of `file`. Messages do not name the file.
Result<SafetensorsHeader> ReadSafetensorsHeader(const RandomAccessFile& file);

// Length field, JSON and padding with spaces for tensors that follow one another in the given order; their offset_bytes
// are ignored, their size_bytes used. kInvalidArgument when the header would pass kMaxSafetensorsHeaderBytes.
Result<std::string> EncodeSafetensorsHeader(std::span<const TensorInfo> tensors, const SafetensorsMetadata& metadata);

}  // namespace entrofs::packer::source
