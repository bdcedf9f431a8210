#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "codec/codec.h"
#include "packer/quantize/arithmetic/affine.h"
#include "packer/source/tensor.h"

namespace entrofs::packer::quantize::arithmetic {

// Calls `visit(weights, count, first)` for elements [begin, end) of a matrix of `dtype` stored in `bytes`, in order and
// in blocks of kVisitElements (the last shorter), which start at begin, begin + kVisitElements, ...
inline constexpr uint64_t kVisitElements = 16384;
using WeightVisitor = std::function<void(const float* weights, size_t count, uint64_t first)>;
Status VisitWeights(const RandomAccessFile& bytes, source::Dtype dtype, uint64_t begin, uint64_t end,
                    const WeightVisitor& visit);

// A matrix of floats seen through a quantizer: codes and parameters of any part are computed from the input's bytes
// when they are asked for. Immutable, thread-safe, and no larger in memory than the parameters it is given.
//
// Elements are numbered row by row. Each run of `run_length` elements shares one Affine: the whole matrix, a row, or a
// group inside a row.
class QuantizedMatrix {
 public:
  struct Shape {
    uint64_t rows = 0;
    uint64_t columns = 0;
    uint64_t element_count() const { return rows * columns; }
  };
  // Fits one run's parameters to its weights. Must depend on them alone.
  using Fit = std::function<Affine(const float* weights, size_t count)>;

  // With known parameters, one per run. Requires: affines.size() == ceil(elements / run_length). Codes are computed
  // from the weights, or are those in `codes`, a byte for each element.
  QuantizedMatrix(std::shared_ptr<const RandomAccessFile> bytes, source::Dtype dtype, Shape shape, int bits,
                  uint64_t run_length, std::vector<Affine> affines,
                  std::shared_ptr<const RandomAccessFile> codes = nullptr);
  // With parameters fitted anew for every run that is touched. Requires: run_length divides kVisitElements and columns.
  QuantizedMatrix(std::shared_ptr<const RandomAccessFile> bytes, source::Dtype dtype, Shape shape, int bits,
                  uint64_t run_length, Fit fit);

  source::Dtype dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int bits() const { return bits_; }
  uint64_t run_length() const { return run_length_; }
  uint64_t run_count() const { return (shape_.element_count() + run_length_ - 1) / run_length_; }

  // Codes of elements [begin, begin + count).
  Status ReadCodes(uint64_t begin, uint64_t count, uint8_t* codes) const;
  // Parameters of runs [begin, begin + count).
  Status ReadAffines(uint64_t begin, uint64_t count, Affine* affines) const;
  // What elements [begin, end) lose; with fitted parameters, begin must start a run and end must end one. Adds the
  // codes to `histogram`, and stores them at `codes` unless it is null. Holds a byte per element.
  Result<tree::QuantizationError> Measure(uint64_t begin, uint64_t end, codec::Histogram& histogram,
                                          uint8_t* codes = nullptr) const;

  bool has_codes() const { return codes_ != nullptr; }
  // The same with codes that were read from it, a byte for each element.
  std::shared_ptr<const QuantizedMatrix> WithCodes(std::shared_ptr<const RandomAccessFile> codes) const;

 private:
  // Calls `use(affine, weights, count, first)` for every piece of a run in [begin, end).
  using RunVisitor = std::function<void(const Affine&, const float* weights, size_t count, uint64_t first)>;
  Status VisitRuns(uint64_t begin, uint64_t end, const RunVisitor& use) const;

  const std::shared_ptr<const RandomAccessFile> bytes_;
  const source::Dtype dtype_;
  const Shape shape_;
  const int bits_;
  const uint64_t run_length_;
  const std::vector<Affine> affines_;
  std::shared_ptr<const RandomAccessFile> codes_;
  const Fit fit_;
};

}  // namespace entrofs::packer::quantize::arithmetic
