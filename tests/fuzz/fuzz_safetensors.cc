// Any bytes as a safetensors file, and as the JSON of its header: what is accepted covers the file exactly, and is read
// back the same when it is written again.
//
// Input: u32 bytes of tensor data, JSON.

#include <cstdlib>

#include "packer/source/safetensors.h"
#include "packer/source/utf8.h"
#include "tests/support/memory_file.h"

namespace entrofs::fuzz {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckHeader(const packer::source::SafetensorsHeader& header, uint64_t file_bytes) {
  Require(header.data_start_bytes <= file_bytes);
  uint64_t at = header.data_start_bytes;
  for (const packer::source::TensorInfo& tensor : header.tensors) {
    Require(tensor.offset_bytes == at);
    Require(tensor.size_bytes <= file_bytes - at);
    at += tensor.size_bytes;
  }
  Require(at == file_bytes);
}

void CheckWrittenAgain(const packer::source::SafetensorsHeader& header) {
  auto text = packer::source::EncodeSafetensorsHeader(header.tensors, header.metadata);
  if (!text) return;
  Require(text->size() % packer::source::kSafetensorsDataAlignment == 0);
  uint64_t data_bytes = 0;
  for (const packer::source::TensorInfo& tensor : header.tensors) data_bytes += tensor.size_bytes;
  auto again = packer::source::ParseSafetensorsHeader(std::string_view(*text).substr(8), text->size() + data_bytes);
  Require(again.ok());
  Require(again->tensors.size() == header.tensors.size() && again->metadata == header.metadata);
}

}  // namespace
}  // namespace entrofs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace entrofs;
  testing_support::MemoryFile file(std::vector<uint8_t>(data, data + size));
  if (auto header = packer::source::ReadSafetensorsHeader(file)) fuzz::CheckHeader(*header, size);
  if (size < 4) return 0;
  std::string_view json(reinterpret_cast<const char*>(data) + 4, size - 4);
  const uint64_t file_bytes = 8 + json.size() + LoadLe<uint32_t>(data);
  auto header = packer::source::ParseSafetensorsHeader(json, file_bytes);
  if (!header) return 0;
  fuzz::CheckHeader(*header, file_bytes);
  fuzz::CheckWrittenAgain(*header);
  return 0;
}
