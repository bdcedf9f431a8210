#include "packer/quantize/arithmetic/calibration.h"

#include <algorithm>
#include <cmath>

#include "packer/quantize/arithmetic/float_formats.h"

namespace entrofs::packer::quantize::arithmetic {
namespace {

Error Invalid(const std::string& what) { return Error{ErrorCode::kInvalidArgument, what}; }

bool IsMeanSquare(float value) { return std::isfinite(value) && value >= 0; }

}  // namespace

Result<std::shared_ptr<const Calibration>> Calibration::Open(const std::string& path) {
  auto calibration = std::make_shared<Calibration>();
  calibration->path_ = path;
  ENTROFS_ASSIGN_OR_RETURN(calibration->file_, OpenForReading(path));
  Result<source::SafetensorsHeader> header = source::ReadSafetensorsHeader(*calibration->file_);
  if (!header) return Invalid(path + ": " + header.error().message);
  for (source::TensorInfo& tensor : header->tensors) {
    const std::vector<uint64_t>& shape = tensor.shape;
    const bool is_square = shape.size() == 2 && shape[0] == shape[1];
    if (!IsQuantizable(tensor.dtype) || !(shape.size() == 1 || is_square)) {
      return Invalid(path + ": tensor '" + tensor.name + "' is neither [columns] nor [columns, columns] of floats");
    }
    calibration->tensors_.emplace(tensor.name, tensor);
  }
  return std::shared_ptr<const Calibration>(std::move(calibration));
}

std::shared_ptr<const Calibration> Calibration::Of(std::map<std::string, std::vector<float>> moments) {
  auto calibration = std::make_shared<Calibration>();
  calibration->moments_ = std::move(moments);
  return calibration;
}

bool Calibration::HasHessian(const std::string& weight) const {
  auto found = tensors_.find(weight);
  return found != tensors_.end() && found->second.shape.size() == 2;
}

bool Calibration::HasHessians() const {
  return std::any_of(tensors_.begin(), tensors_.end(),
                     [](const auto& tensor) { return tensor.second.shape.size() == 2; });
}

Result<std::vector<float>> Calibration::Read(const source::TensorInfo& tensor, uint64_t first, uint64_t count) const {
  const size_t width = ByteWidth(tensor.dtype);
  std::vector<uint8_t> bytes(count * width);
  ENTROFS_RETURN_IF_ERROR(file_->ReadAt(tensor.offset_bytes + first * width, bytes));
  std::vector<float> values(count);
  DecodeFloats(tensor.dtype, bytes.data(), count, values.data());
  return values;
}

Result<std::vector<float>> Calibration::Moments(const std::string& weight, uint64_t columns) const {
  if (auto known = moments_.find(weight); known != moments_.end()) return known->second;
  const source::TensorInfo& tensor = tensors_.at(weight);
  const std::string name = path_ + ": tensor '" + weight + "'";
  if (tensor.shape.back() != columns) {
    return Invalid(name + " is about " + std::to_string(tensor.shape.back()) + " columns, the weight has " +
                   std::to_string(columns));
  }
  std::vector<float> moments;
  if (tensor.shape.size() == 1) {
    ENTROFS_ASSIGN_OR_RETURN(moments, Read(tensor, 0, columns));
  } else {
    for (uint64_t j = 0; j < columns; ++j) {
      ENTROFS_ASSIGN_OR_RETURN(std::vector<float> diagonal, Read(tensor, j * columns + j, 1));
      moments.push_back(diagonal[0]);
    }
  }
  if (!std::all_of(moments.begin(), moments.end(), IsMeanSquare)) {
    return Invalid(name + " holds mean squares that are negative or not finite");
  }
  return moments;
}

Result<std::vector<float>> Calibration::Hessian(const std::string& weight, uint64_t columns) const {
  ENTROFS_RETURN_IF_ERROR(Moments(weight, columns));
  ENTROFS_ASSIGN_OR_RETURN(std::vector<float> hessian, Read(tensors_.at(weight), 0, columns * columns));
  if (!std::all_of(hessian.begin(), hessian.end(), [](float value) { return std::isfinite(value); })) {
    return Invalid(path_ + ": tensor '" + weight + "' holds values that are not finite");
  }
  return hessian;
}

}  // namespace entrofs::packer::quantize::arithmetic
