// Weights of a real model, quantized in the ways models are shipped.

#include <algorithm>
#include <bit>
#include <cmath>

#include "bench/inputs.h"
#include "packer/source/safetensors.h"

namespace entrofs::bench {
namespace {

constexpr size_t kGroupWeights = 128;

// One matrix.
struct Rows {
  std::vector<uint16_t> bf16;
  size_t columns = 0;

  float weight(size_t i) const { return std::bit_cast<float>(static_cast<uint32_t>(bf16[i]) << 16); }
  size_t size() const { return bf16.size(); }
};

uint8_t Nearest(float scaled) { return static_cast<uint8_t>(std::lrintf(scaled)); }

void AppendInt8Row(const Rows& rows, std::vector<uint8_t>& out) {
  for (size_t begin = 0; begin < rows.size(); begin += rows.columns) {
    float largest = 0;
    for (size_t i = 0; i < rows.columns; ++i) largest = std::max(largest, std::fabs(rows.weight(begin + i)));
    const float scale = largest > 0 ? 127 / largest : 0;
    for (size_t i = 0; i < rows.columns; ++i) {
      out.push_back(static_cast<uint8_t>(std::lrintf(rows.weight(begin + i) * scale)));
    }
  }
}

// Maps [least, most] of weights begin .. begin + count - 1 to 0 .. `levels`.
template <typename Use>
void QuantizeRange(const Rows& rows, size_t begin, size_t count, float levels, Use use) {
  float least = rows.weight(begin), most = least;
  for (size_t i = 1; i < count; ++i) {
    least = std::min(least, rows.weight(begin + i));
    most = std::max(most, rows.weight(begin + i));
  }
  const float scale = most > least ? levels / (most - least) : 0;
  for (size_t i = 0; i < count; ++i) use(i, Nearest((rows.weight(begin + i) - least) * scale));
}

void AppendUint8Tensor(const Rows& rows, std::vector<uint8_t>& out) {
  QuantizeRange(rows, 0, rows.size(), 255, [&](size_t, uint8_t q) { out.push_back(q); });
}

void AppendUint4Group(const Rows& rows, std::vector<uint8_t>& out) {
  for (size_t begin = 0; begin + kGroupWeights <= rows.size(); begin += kGroupWeights) {
    QuantizeRange(rows, begin, kGroupWeights, 15, [&](size_t i, uint8_t q) {
      if (i % 2 == 0) {
        out.push_back(q);
      } else {
        out.back() = static_cast<uint8_t>(out.back() | q << 4);
      }
    });
  }
}

void AppendExponents(const Rows& rows, std::vector<uint8_t>& out) {
  for (uint16_t bits : rows.bf16) out.push_back(static_cast<uint8_t>(bits >> 7));
}

void AppendWhole(const Rows& rows, std::vector<uint8_t>& out) {
  const size_t at = out.size();
  out.resize(at + 2 * rows.size());
  std::memcpy(out.data() + at, rows.bf16.data(), 2 * rows.size());
}

struct Recipe {
  std::string_view name;
  double bytes_per_weight;
  void (*append)(const Rows& rows, std::vector<uint8_t>& out);
};

constexpr Recipe kRecipes[] = {
    {"real-int8-row", 1, AppendInt8Row},         {"real-uint8-tensor", 1, AppendUint8Tensor},
    {"real-uint4-group", 0.5, AppendUint4Group}, {"real-bf16-exponent", 1, AppendExponents},
    {kBf16TensorName, 2, AppendWhole},
};

bool IsMatrix(const packer::source::TensorInfo& tensor) {
  return tensor.dtype == packer::source::Dtype::kBf16 && tensor.shape.size() == 2 && tensor.size_bytes > 0;
}

Result<Rows> ReadMatrix(const RandomAccessFile& file, const packer::source::TensorInfo& tensor) {
  Rows rows;
  rows.columns = tensor.shape[1];
  rows.bf16.resize(tensor.element_count());
  MutableByteSpan bytes(reinterpret_cast<uint8_t*>(rows.bf16.data()), 2 * rows.bf16.size());
  ENTROFS_RETURN_IF_ERROR(file.ReadAt(tensor.offset_bytes, bytes));
  return rows;
}

}  // namespace

Result<std::vector<uint8_t>> MakeFromCheckpoint(std::string_view name, size_t size_bytes, const std::string& path) {
  const Recipe& recipe =
      *std::find_if(std::begin(kRecipes), std::end(kRecipes), [&](const Recipe& r) { return r.name == name; });
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, OpenForReading(path));
  auto header = packer::source::ReadSafetensorsHeader(*file);
  if (!header) return std::move(header.error()).WithContext(path);
  double weights = 0;
  for (const packer::source::TensorInfo& tensor : header->tensors) {
    if (IsMatrix(tensor)) weights += static_cast<double>(tensor.element_count());
  }
  if (weights == 0) return Error{ErrorCode::kUnsupported, path + ": no BF16 matrices"};
  const double share = std::min(1.0, static_cast<double>(size_bytes) / (weights * recipe.bytes_per_weight));
  std::vector<uint8_t> plain;
  for (const packer::source::TensorInfo& tensor : header->tensors) {
    if (!IsMatrix(tensor)) continue;
    ENTROFS_ASSIGN_OR_RETURN(Rows rows, ReadMatrix(*file, tensor));
    const size_t before = plain.size();
    recipe.append(rows, plain);
    // Every matrix gives the same share of its bytes, so that a small input is still a mixture of all.
    const auto kept = static_cast<size_t>(std::ceil(share * static_cast<double>(plain.size() - before)));
    plain.resize(before + kept + kept % 2);  // whole BF16 numbers; matrices have an even number of bytes
  }
  plain.resize(std::min(plain.size(), size_bytes));
  return plain;
}

}  // namespace entrofs::bench
