#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "packer/source/safetensors.h"

namespace entrofs::packer::quantize::arithmetic {

// What is known of the inputs of linear layers: a safetensors file with a tensor per weight, of the weight's name. One
// of shape [columns] holds the mean square of each input channel; one of [columns, columns] the mean of the inputs'
// outer products (the Hessian of the layer's squared output error, but for a factor). F32, F16 or BF16.
// Immutable, thread-safe; reads a tensor when it is asked for.
class Calibration {
 public:
  // kInvalidArgument when the file is not such a file, or the errors of reading. Messages name the file.
  static Result<std::shared_ptr<const Calibration>> Open(const std::string& path);

  // One held in memory, of mean squares alone, which must be finite and not negative.
  static std::shared_ptr<const Calibration> Of(std::map<std::string, std::vector<float>> moments);

  bool Knows(const std::string& weight) const { return tensors_.contains(weight) || moments_.contains(weight); }
  bool HasHessian(const std::string& weight) const;
  // Whether it has any.
  bool HasHessians() const;

  // The mean square of each input channel. Requires: Knows(weight). An error names the tensor: another number of
  // columns, values that are negative or not finite.
  Result<std::vector<float>> Moments(const std::string& weight, uint64_t columns) const;
  // Row by row. Requires: HasHessian(weight). Takes columns^2 floats.
  Result<std::vector<float>> Hessian(const std::string& weight, uint64_t columns) const;

 private:
  Result<std::vector<float>> Read(const source::TensorInfo& tensor, uint64_t first, uint64_t count) const;

  std::shared_ptr<const RandomAccessFile> file_;
  std::string path_;
  std::map<std::string, source::TensorInfo> tensors_;
  std::map<std::string, std::vector<float>> moments_;  // of those that are in no file
};

}  // namespace entrofs::packer::quantize::arithmetic
