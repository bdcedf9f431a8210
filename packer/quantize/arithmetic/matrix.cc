#include "packer/quantize/arithmetic/matrix.h"

#include <algorithm>
#include <cassert>

#include "base/buffer.h"
#include "packer/quantize/arithmetic/float_formats.h"

namespace entrofs::packer::quantize::arithmetic {

Status VisitWeights(const RandomAccessFile& bytes, source::Dtype dtype, uint64_t begin, uint64_t end,
                    const WeightVisitor& visit) {
  const size_t width = ByteWidth(dtype);
  const size_t most = std::min(kVisitElements, end - begin);
  Buffer encoded(most * width);
  Buffer decoded(most * sizeof(float));
  auto* weights = reinterpret_cast<float*>(decoded.data());
  for (uint64_t first = begin; first < end; first += kVisitElements) {
    size_t count = std::min(kVisitElements, end - first);
    ENTROFS_RETURN_IF_ERROR(bytes.ReadAt(first * width, encoded.span().first(count * width)));
    DecodeFloats(dtype, encoded.data(), count, weights);
    visit(weights, count, first);
  }
  return OkStatus();
}

QuantizedMatrix::QuantizedMatrix(std::shared_ptr<const RandomAccessFile> bytes, source::Dtype dtype, Shape shape,
                                 int bits, uint64_t run_length, std::vector<Affine> affines,
                                 std::shared_ptr<const RandomAccessFile> codes)
    : bytes_(std::move(bytes)),
      dtype_(dtype),
      shape_(shape),
      bits_(bits),
      run_length_(run_length),
      affines_(std::move(affines)),
      codes_(std::move(codes)) {
  assert(affines_.size() == run_count());
}

QuantizedMatrix::QuantizedMatrix(std::shared_ptr<const RandomAccessFile> bytes, source::Dtype dtype, Shape shape,
                                 int bits, uint64_t run_length, Fit fit)
    : bytes_(std::move(bytes)),
      dtype_(dtype),
      shape_(shape),
      bits_(bits),
      run_length_(run_length),
      fit_(std::move(fit)) {
  assert(kVisitElements % run_length == 0 && shape.columns % run_length == 0);
}

Status QuantizedMatrix::VisitRuns(uint64_t begin, uint64_t end, const RunVisitor& use) const {
  if (begin == end) return OkStatus();
  // Fitting needs whole runs, of which only the part asked for is handed on.
  const uint64_t first_read = fit_ ? begin / run_length_ * run_length_ : begin;
  const uint64_t end_read = fit_ ? (end + run_length_ - 1) / run_length_ * run_length_ : end;
  return VisitWeights(*bytes_, dtype_, first_read, end_read, [&](const float* weights, size_t count, uint64_t first) {
    for (uint64_t at = first; at < first + count;) {
      uint64_t run = at / run_length_;
      uint64_t run_end = std::min((run + 1) * run_length_, first + count);
      Affine affine = fit_ ? fit_(weights + (at - first), run_end - at) : affines_[run];
      uint64_t from = std::max(at, begin), to = std::min(run_end, end);
      if (from < to) use(affine, weights + (from - first), to - from, from);
      at = run_end;
    }
  });
}

Status QuantizedMatrix::ReadCodes(uint64_t begin, uint64_t count, uint8_t* codes) const {
  if (codes_) return codes_->ReadAt(begin, {codes, count});
  return VisitRuns(begin, begin + count, [&](const Affine& affine, const float* weights, size_t size, uint64_t first) {
    Quantize(affine, weights, size, codes + (first - begin));
  });
}

Status QuantizedMatrix::ReadAffines(uint64_t begin, uint64_t count, Affine* affines) const {
  if (!fit_) {
    std::copy_n(affines_.begin() + static_cast<ptrdiff_t>(begin), count, affines);
    return OkStatus();
  }
  return VisitRuns(begin * run_length_, (begin + count) * run_length_,
                   [&](const Affine& affine, const float*, size_t, uint64_t first) {
                     affines[first / run_length_ - begin] = affine;
                   });
}

Result<tree::QuantizationError> QuantizedMatrix::Measure(uint64_t begin, uint64_t end, codec::Histogram& histogram,
                                                         uint8_t* codes) const {
  tree::QuantizationError error;
  Buffer own(codes == nullptr ? end - begin : 0);
  const MutableByteSpan all = codes == nullptr ? own.span() : MutableByteSpan(codes, end - begin);
  if (codes_) ENTROFS_RETURN_IF_ERROR(codes_->ReadAt(begin, all));
  ENTROFS_RETURN_IF_ERROR(
      VisitRuns(begin, end, [&](const Affine& affine, const float* weights, size_t count, uint64_t first) {
        uint8_t* run_codes = all.data() + (first - begin);
        if (!codes_) Quantize(affine, weights, count, run_codes);
        error += MeasureError(affine, dtype_, weights, run_codes, count);
      }));
  codec::CountBytes(all, histogram);
  return error;
}

std::shared_ptr<const QuantizedMatrix> QuantizedMatrix::WithCodes(std::shared_ptr<const RandomAccessFile> codes) const {
  auto copy = std::make_shared<QuantizedMatrix>(*this);
  copy->codes_ = std::move(codes);
  return copy;
}

}  // namespace entrofs::packer::quantize::arithmetic
