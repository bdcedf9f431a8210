#include "packer/source/tensor.h"

#include <array>

namespace entrofs::packer::source {
namespace {

struct DtypeFacts {
  std::string_view name;
  uint64_t bits;
};

// In the order of Dtype.
constexpr std::array<DtypeFacts, kDtypeCount> kFacts = {{
    {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
    {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
    {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
    {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64},
}};

const DtypeFacts& Facts(Dtype dtype) { return kFacts[static_cast<size_t>(dtype)]; }

}  // namespace

uint64_t BitWidth(Dtype dtype) { return Facts(dtype).bits; }

std::string_view Name(Dtype dtype) { return Facts(dtype).name; }

std::optional<Dtype> ParseDtype(std::string_view name) {
  for (size_t i = 0; i < kFacts.size(); ++i) {
    if (kFacts[i].name == name) return static_cast<Dtype>(i);
  }
  return std::nullopt;
}

std::optional<uint64_t> ElementCount(const std::vector<uint64_t>& shape) {
  uint64_t count = 1;
  for (uint64_t dimension : shape) {
    if (__builtin_mul_overflow(count, dimension, &count)) return std::nullopt;
  }
  return count;
}

std::string ShapeText(const std::vector<uint64_t>& shape) {
  std::string text = "[";
  for (uint64_t dimension : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(dimension);
  return text + "]";
}

}  // namespace entrofs::packer::source
