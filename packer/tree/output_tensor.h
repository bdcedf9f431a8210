#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "codec/codec.h"
#include "packer/source/ggml_types.h"
#include "packer/source/tensor.h"

namespace entrofs::packer::tree {

// What quantization cost a tensor, in the input's own units: sums over all weights, in double precision.
struct QuantizationError {
  double signal_energy = 0;  // of w^2
  double noise_energy = 0;   // of (w - dequantized)^2
  // 10 log10(signal / noise): +infinity when nothing was lost.
  double SqnrDb() const;

  QuantizationError& operator+=(const QuantizationError& other) {
    signal_energy += other.signal_energy;
    noise_energy += other.noise_energy;
    return *this;
  }
};

// A tensor of a virtual safetensors or GGUF file: either bytes of an input file or bytes computed from them when they
// are read.
//
// `bytes` is asked for any range, several threads at once, in any order and more than once; it must always give the
// same bytes on every machine and must hold no more than a small, fixed amount of memory per call. Its size() is
// shape x dtype.
struct OutputTensor {
  std::string name;
  source::Dtype dtype = source::Dtype::kU8;
  // Set for tensors of a GGUF file that are no plain numbers; `dtype` then does not count.
  const source::GgmlType* blocks = nullptr;
  std::vector<uint64_t> shape;
  std::shared_ptr<const RandomAccessFile> bytes;

  // How many weights of the model these bytes carry: shape's product for plain tensors, the unpacked count for packed
  // ones, 0 for scales, zero points and shapes, which belong to the tensor named `belongs_to`.
  uint64_t weight_count = 0;
  // The input tensor these bytes come from; equal to `name` when nothing was changed.
  std::string belongs_to;
  // The scheme that made it, for reports ("uint8"); empty for unchanged tensors.
  std::string scheme;
  // Only for the tensor that carries quantized weights.
  std::optional<QuantizationError> error;
  // The same of the layer's outputs over the inputs of a calibration.
  std::optional<QuantizationError> output_error;
  // The bytes follow the path of codec::Layout::trellis, which begins anew every segment; those of small tensors come
  // back to where they began.
  bool follows_trellis = false;
  // A view computes from the bytes, so they must have an extent to themselves.
  bool stands_alone = false;
  // How often each value occurs in `bytes`, or in the plane of the trellis that they follow, where that was found out
  // on the way; null where it was not.
  std::shared_ptr<const codec::Histogram> byte_counts;
};

// `count` bytes of `file` from `offset`, as a file of their own; keeps `file` alive. The range must lie inside.
std::shared_ptr<const RandomAccessFile> SliceOf(std::shared_ptr<const RandomAccessFile> file, uint64_t offset,
                                                uint64_t count);

// A copy of `bytes` in memory, read on `pool` and the calling thread. Errors are those of reading.
Result<std::shared_ptr<const RandomAccessFile>> InMemory(const RandomAccessFile& bytes, ThreadPool& pool);

// Bytes held in memory (scales, headers).
std::shared_ptr<const RandomAccessFile> BytesInMemory(std::vector<uint8_t> bytes);
std::shared_ptr<const RandomAccessFile> BufferInMemory(Buffer bytes);

}  // namespace entrofs::packer::tree
