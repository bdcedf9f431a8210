#include "packer/analyze/smoothing.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "packer/quantize/arithmetic/float_formats.h"

namespace entrofs::packer::analyze {
namespace {

// As SmoothQuant has it: inputs that are always zero would ask for none.
constexpr float kLeastFactor = 1e-5f;
constexpr uint64_t kElementsAtOnce = 16384;

class ScaledColumns : public RandomAccessFile {
 public:
  ScaledColumns(const tree::OutputTensor& matrix, std::vector<float> factors)
      : bytes_(matrix.bytes), dtype_(matrix.dtype), factors_(std::move(factors)) {}

  Status ReadAt(uint64_t offset, MutableByteSpan out) const override {
    const uint64_t width = quantize::arithmetic::ByteWidth(dtype_), end = offset + out.size();
    if (end > size()) return Error{ErrorCode::kCorrupt, "read past the end of scaled columns"};
    if (out.empty()) return OkStatus();
    std::vector<uint8_t> encoded;
    std::vector<float> values;
    for (uint64_t element = offset / width; element * width < end; element += kElementsAtOnce) {
      const uint64_t count = std::min(kElementsAtOnce, (end + width - 1) / width - element);
      encoded.resize(count * width);
      values.resize(count);
      ENTROFS_RETURN_IF_ERROR(bytes_->ReadAt(element * width, encoded));
      quantize::arithmetic::DecodeFloats(dtype_, encoded.data(), count, values.data());
      for (uint64_t i = 0; i < count; ++i) values[i] *= factors_[(element + i) % factors_.size()];
      quantize::arithmetic::RoundFloats(dtype_, values.data(), count);
      for (uint64_t i = 0; i < count; ++i)
        quantize::arithmetic::EncodeFloat(dtype_, values[i], encoded.data() + i * width);
      const uint64_t first = std::max(offset, element * width), last = std::min(end, (element + count) * width);
      std::memcpy(out.data() + (first - offset), encoded.data() + (first - element * width), last - first);
    }
    return OkStatus();
  }
  uint64_t size() const override { return bytes_->size(); }

 private:
  const std::shared_ptr<const RandomAccessFile> bytes_;
  const source::Dtype dtype_;
  const std::vector<float> factors_;
};

}  // namespace

std::vector<float> SmoothingFactors(std::span<const float> moments, std::span<const float> magnitudes) {
  assert(moments.size() == magnitudes.size());
  std::vector<float> factors(moments.size(), 1);
  for (size_t j = 0; j < factors.size(); ++j) {
    if (magnitudes[j] > 0) factors[j] = std::max(std::sqrt(std::sqrt(moments[j]) / magnitudes[j]), kLeastFactor);
  }
  return factors;
}

tree::OutputTensor WithScaledColumns(const tree::OutputTensor& matrix, std::vector<float> factors) {
  tree::OutputTensor scaled = matrix;
  scaled.bytes = std::make_shared<ScaledColumns>(matrix, std::move(factors));
  return scaled;
}

}  // namespace entrofs::packer::analyze
