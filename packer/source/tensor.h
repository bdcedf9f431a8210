#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Tensors as safetensors files describe them: names, element types, shapes and places.
namespace entrofs::packer::source {

// The element types of huggingface/safetensors, in its order of alignment.
enum class Dtype : uint8_t {
  kBool,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kF8E8M0,
  kF8E4M3Fnuz,
  kF8E5M2Fnuz,
  kI16,
  kU16,
  kF16,
  kBf16,
  kI32,
  kU32,
  kF32,
  kC64,
  kF64,
  kI64,
  kU64,
};
inline constexpr size_t kDtypeCount = 22;

// Bits of one element: 4, 6, 8, 16, 32 or 64.
uint64_t BitWidth(Dtype dtype);
// As safetensors headers write it: "BF16", "F8_E4M3".
std::string_view Name(Dtype dtype);
std::optional<Dtype> ParseDtype(std::string_view name);

// The product of `shape` (1 for a scalar); nullopt when a partial product, taken from the left, passes 2^64 - 1.
std::optional<uint64_t> ElementCount(const std::vector<uint64_t>& shape);

// "[768, 3072]".
std::string ShapeText(const std::vector<uint64_t>& shape);

// One tensor of a file. Readers have checked that size_bytes is what shape and dtype ask for.
struct TensorInfo {
  std::string name;
  Dtype dtype = Dtype::kU8;
  std::vector<uint64_t> shape;
  uint64_t offset_bytes = 0;  // from the start of the file
  uint64_t size_bytes = 0;

  uint64_t element_count() const { return ElementCount(shape).value_or(0); }
  friend bool operator==(const TensorInfo&, const TensorInfo&) = default;
};

}  // namespace entrofs::packer::source
