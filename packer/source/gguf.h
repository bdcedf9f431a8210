#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "packer/source/ggml_types.h"

// The GGUF file format, versions 2 and 3, little-endian: header, metadata, tensor records, tensors on aligned places.
namespace entrofs::packer::source {

// Headers are vocabularies mostly: some megabytes.
inline constexpr uint64_t kMaxGgufHeaderBytes = 128 << 20;

struct GgufTensor {
  std::string name;
  uint32_t type_number = 0;
  const GgmlType* type = nullptr;  // null when the number is not known; the tensor then ends where the next one begins
  std::vector<uint64_t> shape;     // as safetensors has it: the dimension that varies fastest comes last
  uint64_t offset_bytes = 0;       // from the start of the file
  uint64_t size_bytes = 0;

  uint64_t weight_count() const { return ElementCount(shape).value_or(0); }
};

struct GgufHeader {
  uint64_t data_start_bytes = 0;    // the header's end, rounded up to the alignment
  std::vector<GgufTensor> tensors;  // by offset; they do not overlap and lie inside the file
};

// Parses the header at the beginning of untrusted `bytes`, the first bytes of a file of `file_bytes`. kCorrupt, with a
// message that names the tensor or key at fault, or kUnsupported (another version, big-endian files). When `bytes` end
// inside the header, `is_cut_short` (may be null) is set.
Result<GgufHeader> ParseGguf(ByteSpan bytes, uint64_t file_bytes, bool* is_cut_short = nullptr);

// Reads and parses the header of `file`. Messages do not name the file.
Result<GgufHeader> ReadGgufHeader(const RandomAccessFile& file);

}  // namespace entrofs::packer::source
