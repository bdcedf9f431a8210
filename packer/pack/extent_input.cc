#include "packer/pack/extent_input.h"

#include <algorithm>

#include "packer/pack/coding.h"
#include "packer/source/ggml_types.h"

namespace entrofs::packer::pack {
namespace {

// Several files one after another.
class Concatenation : public RandomAccessFile {
 public:
  explicit Concatenation(std::vector<std::shared_ptr<const RandomAccessFile>> parts) : parts_(std::move(parts)) {
    for (const auto& part : parts_) {
      begins_.push_back(size_);
      size_ += part->size();
    }
  }

  Status ReadAt(uint64_t offset, MutableByteSpan out) const override {
    // The last part that begins at or before `offset`.
    size_t i = static_cast<size_t>(std::upper_bound(begins_.begin(), begins_.end(), offset) - begins_.begin()) - 1;
    for (; !out.empty(); ++i) {
      if (i >= parts_.size()) return Error{ErrorCode::kCorrupt, "read past the end of a run of tensors"};
      const uint64_t skip = offset - begins_[i];
      const size_t count = static_cast<size_t>(std::min<uint64_t>(out.size(), parts_[i]->size() - skip));
      if (count > 0) ENTROFS_RETURN_IF_ERROR(parts_[i]->ReadAt(skip, out.first(count)));
      out = out.subspan(count);
      offset += count;
    }
    return OkStatus();
  }
  uint64_t size() const override { return size_; }

 private:
  const std::vector<std::shared_ptr<const RandomAccessFile>> parts_;
  std::vector<uint64_t> begins_;
  uint64_t size_ = 0;
};

void AppendLiteral(const tree::Literal& literal, std::vector<ExtentInput>& inputs) {
  const uint64_t size = literal.bytes->size();
  for (uint64_t offset = 0; offset < size; offset += kLiteralExtentBytes) {
    const uint64_t count = std::min(kLiteralExtentBytes, size - offset);
    inputs.push_back({literal.name,
                      std::nullopt,
                      nullptr,
                      count == size ? literal.bytes : tree::SliceOf(literal.bytes, offset, count),
                      {},
                      &literal});
  }
}

}  // namespace

ExtentInput JoinedExtent(const std::vector<const tree::OutputTensor*>& tensors) {
  const tree::OutputTensor& first = *tensors.front();
  if (tensors.size() == 1) return {first.name, first.dtype, first.blocks, first.bytes, tensors};
  std::vector<std::shared_ptr<const RandomAccessFile>> parts;
  parts.reserve(tensors.size());
  for (const tree::OutputTensor* tensor : tensors) parts.push_back(tensor->bytes);
  return {first.name + " to " + tensors.back()->name, first.dtype, first.blocks,
          std::make_shared<Concatenation>(std::move(parts)), tensors};
}

std::vector<codec::Layout> CandidateLayouts(const ExtentInput& input) {
  if (input.blocks != nullptr) return {codec::Layout{}, codec::Layout{.block = input.blocks->block}};
  if (input.tensors.empty()) return CandidateLayouts(input.dtype);
  const tree::OutputTensor& tensor = *input.tensors.front();
  if (tensor.follows_trellis) return {codec::Layout{.trellis = true}};
  // Codes of our own are bytes or packed in bytes, whatever the dtype.
  if (!tensor.scheme.empty() && tensor.weight_count > 0) return {codec::Layout{}};
  std::vector<codec::Layout> layouts = CandidateLayouts(input.dtype);
  // Indices may be sorted; packed codes, which have several dimensions, never are.
  const bool is_integer = !layouts.front().rotate_sign && layouts.front().element_bytes > 1;
  if (is_integer && tensor.shape.size() == 1 && input.bytes->size() <= kMeasuredAtOnceBytes) {
    layouts.push_back({.element_bytes = layouts.front().element_bytes, .delta = true});
  }
  return layouts;
}

std::vector<ExtentInput> CutIntoExtents(const tree::OutputFile& file) {
  std::vector<ExtentInput> inputs;
  for (const tree::FilePart& part : file.parts) {
    const auto* tensor = std::get_if<tree::OutputTensor>(&part);
    if (tensor == nullptr) {
      AppendLiteral(std::get<tree::Literal>(part), inputs);
    } else if (tensor->bytes->size() > 0) {
      inputs.push_back(JoinedExtent({tensor}));
    }
  }
  return inputs;
}

}  // namespace entrofs::packer::pack
