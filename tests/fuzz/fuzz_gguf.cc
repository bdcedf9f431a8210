// Any bytes as a GGUF file: what is accepted lies inside the file, in order, and does not overlap.
//
// Input: u32 bytes of tensor data behind the rest, header.

#include <cstdlib>

#include "packer/source/gguf.h"
#include "tests/support/memory_file.h"

namespace entrofs::fuzz {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckHeader(const packer::source::GgufHeader& header, uint64_t file_bytes) {
  Require(header.tensors.empty() || header.data_start_bytes <= file_bytes);
  uint64_t at = header.data_start_bytes;
  for (const packer::source::GgufTensor& tensor : header.tensors) {
    Require(tensor.offset_bytes >= at);
    Require(tensor.offset_bytes <= file_bytes && tensor.size_bytes <= file_bytes - tensor.offset_bytes);
    at = tensor.offset_bytes + tensor.size_bytes;
    (void)tensor.weight_count();
  }
}

}  // namespace
}  // namespace entrofs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace entrofs;
  if (size < 4) return 0;
  ByteSpan header_bytes(data + 4, size - 4);
  const uint64_t file_bytes = header_bytes.size() + LoadLe<uint32_t>(data) % (1 << 24);
  bool is_cut_short = false;
  auto header = packer::source::ParseGguf(header_bytes, file_bytes, &is_cut_short);
  if (header) {
    fuzz::Require(!is_cut_short);
    fuzz::CheckHeader(*header, file_bytes);
  }
  testing_support::MemoryFile file(std::vector<uint8_t>(header_bytes.begin(), header_bytes.end()));
  if (auto whole = packer::source::ReadGgufHeader(file)) fuzz::CheckHeader(*whole, file.size());
  return 0;
}
