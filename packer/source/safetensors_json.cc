#include "packer/source/safetensors_json.h"

#include <array>
#include <nlohmann/json.hpp>

namespace entrofs::packer::source {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxDepth = 127;
constexpr std::array<std::string_view, 3> kFields = {"dtype", "shape", "data_offsets"};

// What the next value is.
enum class Slot {
  kDocument,
  kMetadata,
  kMetadataValue,
  kTensor,
  kDtype,  // the three fields in the order of kFields
  kShape,
  kOffsets,
  kDtypeUnit,  // the value of {"F32": ...}
  kDimension,
  kOffset,
  kIgnored,
  kTooMany,
};

// What we are inside of.
enum class Container { kRoot, kMetadata, kTensorObject, kTensorArray, kDtypeObject, kUnit, kShape, kOffsets, kIgnored };

// What is wrong when a value of the wrong kind stands here, or nothing where that is a tensor's fault.
std::string_view FaultOfDocument(Slot slot) {
  if (slot == Slot::kDocument) return "safetensors header is not a JSON object";
  if (slot == Slot::kMetadata || slot == Slot::kMetadataValue) {
    return "__metadata__ of the safetensors header is not an object of strings";
  }
  return {};
}

// What is wrong with the tensor then.
const char* FaultOfTensor(Slot slot) {
  switch (slot) {
    case Slot::kDtype:
    case Slot::kDtypeUnit:
      return "dtype is not a string";
    case Slot::kShape:
    case Slot::kDimension:
      return "shape is not a list of integers from 0 to 2^64 - 1";
    case Slot::kOffsets:
    case Slot::kOffset:
      return "data_offsets are not two integers from 0 to 2^64 - 1";
    default:
      return "is not an object of dtype, shape and data_offsets";
  }
}

// Receives the JSON's events in order; every callback returns false to stop, with error_ set.
class HeaderHandler : public Json::json_sax_t {
 public:
  HeaderJson Take() && { return std::move(header_); }
  // A dtype that we do not know may be one of a later version of the format.
  Error error() const { return {is_unknown_dtype_ ? ErrorCode::kUnsupported : ErrorCode::kCorrupt, error_}; }

  bool null() override {
    Slot slot = NextSlot();
    return slot == Slot::kIgnored || slot == Slot::kMetadata || slot == Slot::kDtypeUnit || Refuse(slot);
  }
  bool boolean(bool) override { return OnlyIgnored(); }
  bool number_integer(number_integer_t) override { return OnlyIgnored(); }
  bool number_float(number_float_t, const string_t&) override { return OnlyIgnored(); }
  bool binary(binary_t&) override { return OnlyIgnored(); }

  bool number_unsigned(number_unsigned_t value) override {
    Slot slot = NextSlot();
    if (slot == Slot::kDimension) {
      tensor_.shape.push_back(value);
    } else if (slot == Slot::kOffset) {
      (count_ == 1 ? tensor_.begin : tensor_.end) = value;
    } else if (slot != Slot::kIgnored) {
      return Refuse(slot);
    }
    return true;
  }

  bool string(string_t& value) override {
    Slot slot = NextSlot();
    if (slot == Slot::kDtype) return SetDtype(value);
    if (slot == Slot::kMetadataValue) {
      header_.metadata[key_] = std::move(value);
    } else if (slot != Slot::kIgnored) {
      return Refuse(slot);
    }
    return true;
  }

  bool start_object(size_t) override {
    const Slot slot = NextSlot();
    if (slot == Slot::kDocument) return Enter(Container::kRoot);
    if (slot == Slot::kMetadata) return Enter(Container::kMetadata);
    if (slot == Slot::kTensor) return Enter(Container::kTensorObject);
    if (slot == Slot::kDtype) return EnterCounting(Container::kDtypeObject);
    if (slot == Slot::kDtypeUnit) return Enter(Container::kUnit);
    return slot == Slot::kIgnored ? Enter(Container::kIgnored) : Refuse(slot);
  }

  bool start_array(size_t) override {
    const Slot slot = NextSlot();
    if (slot == Slot::kTensor) {
      field_index_ = 0;
      return Enter(Container::kTensorArray);
    }
    if (slot == Slot::kShape) return Enter(Container::kShape);
    if (slot == Slot::kOffsets) return EnterCounting(Container::kOffsets);
    return slot == Slot::kIgnored ? Enter(Container::kIgnored) : Refuse(slot);
  }

  bool key(string_t& name) override {
    switch (stack_.back()) {
      case Container::kRoot:
        return RootKey(name);
      case Container::kMetadata:
        key_ = std::move(name);
        slot_ = Slot::kMetadataValue;
        return true;
      case Container::kTensorObject:
        return TensorKey(name);
      case Container::kDtypeObject:
        slot_ = Slot::kDtypeUnit;
        return ++count_ == 1 ? SetDtype(name) : Refuse(Slot::kDtype);
      case Container::kUnit:
        return Refuse(Slot::kDtype);
      default:
        return true;
    }
  }

  bool end_object() override { return Leave(); }
  bool end_array() override { return Leave(); }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    error_ = "safetensors header is not JSON at byte " + std::to_string(8 + (position > 0 ? position - 1 : 0));
    return false;
  }

 private:
  Slot NextSlot() {
    if (stack_.empty()) return Slot::kDocument;
    switch (stack_.back()) {
      case Container::kTensorArray:
        return field_index_ < kFields.size() ? StartField(field_index_++) : Slot::kTooMany;
      case Container::kShape:
        return Slot::kDimension;
      case Container::kOffsets:
        return ++count_ <= 2 ? Slot::kOffset : Slot::kTooMany;
      case Container::kIgnored:
        return Slot::kIgnored;
      default:
        return slot_;
    }
  }

  Slot StartField(size_t index) {
    seen_ |= 1u << index;
    return static_cast<Slot>(static_cast<size_t>(Slot::kDtype) + index);
  }

  bool RootKey(std::string& name) {
    if (name == "__metadata__") {
      slot_ = Slot::kMetadata;
      if (seen_metadata_) return Fail("safetensors header has __metadata__ twice");
      seen_metadata_ = true;
      return true;
    }
    slot_ = Slot::kTensor;
    tensor_ = HeaderTensor{};
    tensor_.name = std::move(name);
    seen_ = 0;
    return true;
  }

  bool TensorKey(const std::string& name) {
    for (size_t i = 0; i < kFields.size(); ++i) {
      if (name != kFields[i]) continue;
      if ((seen_ & (1u << i)) != 0) return FailTensor("has '" + name + "' twice");
      slot_ = StartField(i);
      return true;
    }
    slot_ = Slot::kIgnored;
    return true;
  }

  bool SetDtype(const std::string& name) {
    std::optional<Dtype> dtype = ParseDtype(name);
    if (!dtype) {
      is_unknown_dtype_ = true;
      return FailTensor("unknown dtype '" + name + "'");
    }
    tensor_.dtype = *dtype;
    return true;
  }

  bool Enter(Container container) {
    if (stack_.size() >= kMaxDepth) return Fail("safetensors header is nested too deeply");
    stack_.push_back(container);
    return true;
  }

  bool EnterCounting(Container container) {
    count_ = 0;
    return Enter(container);
  }

  bool Leave() {
    Container left = stack_.back();
    stack_.pop_back();
    if (left == Container::kDtypeObject && count_ != 1) return Refuse(Slot::kDtype);
    if (left == Container::kOffsets && count_ != 2) return Refuse(Slot::kOffsets);
    if (left != Container::kTensorObject && left != Container::kTensorArray) return true;
    for (size_t i = 0; i < kFields.size(); ++i) {
      if ((seen_ & (1u << i)) == 0) return FailTensor("has no '" + std::string(kFields[i]) + "'");
    }
    header_.tensors.push_back(std::move(tensor_));
    return true;
  }

  bool OnlyIgnored() {
    Slot slot = NextSlot();
    return slot == Slot::kIgnored || Refuse(slot);
  }

  // The value in this place is of the wrong kind.
  bool Refuse(Slot slot) {
    const std::string_view fault = FaultOfDocument(slot);
    return fault.empty() ? FailTensor(FaultOfTensor(slot)) : Fail(std::string(fault));
  }

  bool FailTensor(const std::string& what) { return Fail("tensor '" + tensor_.name + "': " + what); }

  bool Fail(std::string message) {
    error_ = std::move(message);
    return false;
  }

  HeaderJson header_;
  std::string error_;
  bool is_unknown_dtype_ = false;
  std::vector<Container> stack_;
  Slot slot_ = Slot::kDocument;  // of the value after the last key
  std::string key_;              // inside __metadata__
  bool seen_metadata_ = false;
  HeaderTensor tensor_;     // being read
  unsigned seen_ = 0;       // its fields
  size_t field_index_ = 0;  // of the array form
  size_t count_ = 0;        // values in data_offsets, keys in {"F32": null}
};

}  // namespace

Result<HeaderJson> ParseHeaderJson(std::string_view text) {
  // nlohmann-json skips a byte-order mark and takes NUL for the end; neither is JSON.
  if (text.starts_with("\xef\xbb\xbf")) return Error{ErrorCode::kCorrupt, "safetensors header is not JSON at byte 8"};
  if (size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return Error{ErrorCode::kCorrupt, "safetensors header is not JSON at byte " + std::to_string(8 + nul)};
  }
  HeaderHandler handler;
  if (!Json::sax_parse(text, &handler)) return handler.error();
  return std::move(handler).Take();
}

}  // namespace entrofs::packer::source
