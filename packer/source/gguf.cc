#include "packer/source/gguf.h"

#include <algorithm>
#include <bit>
#include <set>

#include "archive/paths.h"
#include "base/buffer.h"

namespace entrofs::packer::source {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr uint32_t kDefaultAlignment = 32;
constexpr uint64_t kMaxDimensions = 8;
constexpr int kMaxNesting = 8;
// Of a tensor record: length of its name, dimensions, type, offset. Of a key: length, type, a value of a byte.
constexpr uint64_t kLeastTensorBytes = 8 + 4 + 4 + 8;
constexpr uint64_t kLeastKeyBytes = 8 + 4 + 1;

enum ValueType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };
constexpr uint64_t kValueBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

Error Corrupt(std::string what) { return Error{ErrorCode::kCorrupt, "GGUF header: " + std::move(what)}; }

std::string Quoted(const std::string& name) { return "'" + archive::Printable(name) + "'"; }

class Parser {
 public:
  Parser(ByteSpan bytes, uint64_t file_bytes) : reader_(bytes), file_bytes_(file_bytes) {}

  Result<GgufHeader> Parse() {
    ENTROFS_RETURN_IF_ERROR(ParseStart());
    for (uint64_t i = 0; i < key_count_; ++i) ENTROFS_RETURN_IF_ERROR(ParseKey());
    for (uint64_t i = 0; i < tensor_count_; ++i) ENTROFS_RETURN_IF_ERROR(ParseTensor());
    ENTROFS_RETURN_IF_ERROR(PlaceTensors());
    return std::move(header_);
  }

  bool is_cut_short() const { return !reader_.ok(); }

 private:
  Error CutShort() const { return Corrupt("ends in the middle"); }

  Status ParseStart() {
    if (AsText(reader_.ReadBytes(kMagic.size())) != kMagic) return Error{ErrorCode::kCorrupt, "not a GGUF file"};
    const uint32_t version = reader_.ReadU32();
    tensor_count_ = reader_.ReadU64();
    key_count_ = reader_.ReadU64();
    if (!reader_.ok()) return CutShort();
    if ((version & 0xffff) == 0) return Error{ErrorCode::kUnsupported, "a big-endian GGUF file"};
    if (version != 2 && version != 3) {
      return Error{ErrorCode::kUnsupported, "GGUF of version " + std::to_string(version) + ", not 2 or 3"};
    }
    if (tensor_count_ > file_bytes_ / kLeastTensorBytes) {
      return Corrupt(std::to_string(tensor_count_) + " tensors are more than the file can hold");
    }
    if (key_count_ > file_bytes_ / kLeastKeyBytes) {
      return Corrupt(std::to_string(key_count_) + " keys are more than the file can hold");
    }
    return OkStatus();
  }

  std::string ReadText() { return std::string(AsText(reader_.ReadBytes(reader_.ReadU64()))); }

  Status ParseKey() {
    const std::string key = ReadText();
    const uint32_t type = reader_.ReadU32();
    if (!reader_.ok()) return CutShort();
    if (key == "general.alignment") {
      if (type != kU32) return Corrupt("general.alignment is not a 32-bit number");
      alignment_ = reader_.ReadU32();
      if (!reader_.ok()) return CutShort();
      if (!std::has_single_bit(alignment_) && (alignment_ == 0 || alignment_ % 8 != 0))
        return Corrupt("an alignment of " + std::to_string(alignment_));
      return OkStatus();
    }
    Status status = SkipValue(type, 0);
    if (!status && !is_cut_short()) return Corrupt("key " + Quoted(key) + ": " + status.error().message);
    return status;
  }

  // Messages are only what is wrong with the value.
  Status SkipValue(uint32_t type, int nesting) {
    if (type == kString) {
      reader_.ReadBytes(reader_.ReadU64());
    } else if (type == kArray) {
      return SkipArray(nesting + 1);
    } else if (type < std::size(kValueBytes)) {
      reader_.ReadBytes(kValueBytes[type]);
    } else {
      return Error{ErrorCode::kCorrupt, "a value of unknown type " + std::to_string(type)};
    }
    return reader_.ok() ? OkStatus() : Status(CutShort());
  }

  Status SkipArray(int nesting) {
    const uint32_t type = reader_.ReadU32();
    const uint64_t count = reader_.ReadU64();
    if (!reader_.ok()) return CutShort();
    if (nesting > kMaxNesting) return Error{ErrorCode::kCorrupt, "arrays nested too deep"};
    const uint64_t element_bytes = type < std::size(kValueBytes) ? kValueBytes[type] : 0;
    if (element_bytes == 0) {
      // Each element reads some bytes or fails.
      for (uint64_t i = 0; i < count; ++i) ENTROFS_RETURN_IF_ERROR(SkipValue(type, nesting));
      return OkStatus();
    }
    uint64_t bytes;
    if (__builtin_mul_overflow(count, element_bytes, &bytes) || bytes > file_bytes_) {
      return Error{ErrorCode::kCorrupt, "an array longer than the file"};
    }
    reader_.ReadBytes(bytes);
    return reader_.ok() ? OkStatus() : Status(CutShort());
  }

  Status ParseTensor() {
    GgufTensor tensor;
    tensor.name = ReadText();
    const uint32_t dimensions = reader_.ReadU32();
    if (!reader_.ok()) return CutShort();
    auto broken = [&](const std::string& what) { return Corrupt("tensor " + Quoted(tensor.name) + ": " + what); };
    if (dimensions > kMaxDimensions) return broken(std::to_string(dimensions) + " dimensions");
    for (uint32_t i = 0; i < dimensions; ++i) tensor.shape.push_back(reader_.ReadU64());
    tensor.type_number = reader_.ReadU32();
    tensor.offset_bytes = reader_.ReadU64();
    if (!reader_.ok()) return CutShort();
    std::reverse(tensor.shape.begin(), tensor.shape.end());
    tensor.type = FindGgmlType(tensor.type_number);
    if (!names_.insert(tensor.name).second) return broken("is there twice");
    if (!ElementCount(tensor.shape)) return broken("shape " + ShapeText(tensor.shape) + " overflows");
    if (tensor.type != nullptr) {
      const uint64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
      if (row % tensor.type->weights_per_block != 0) {
        return broken("rows of " + std::to_string(row) + " weights are not whole blocks of " +
                      std::string(tensor.type->name));
      }
      const uint64_t blocks = tensor.weight_count() / tensor.type->weights_per_block;
      if (__builtin_mul_overflow(blocks, tensor.type->block_bytes(), &tensor.size_bytes)) return broken("is too large");
    }
    header_.tensors.push_back(std::move(tensor));
    return OkStatus();
  }

  // Turns offsets in the data into places in the file, and checks them.
  Status PlaceTensors() {
    const uint64_t header_end = reader_.position();
    header_.data_start_bytes = (header_end + alignment_ - 1) / alignment_ * alignment_;
    if (header_.data_start_bytes > file_bytes_) {
      // Nothing but a header need not be padded.
      if (!header_.tensors.empty()) return Corrupt("the file ends before the tensors");
      header_.data_start_bytes = file_bytes_;
    }
    std::vector<GgufTensor>& tensors = header_.tensors;
    std::stable_sort(tensors.begin(), tensors.end(), [](const GgufTensor& a, const GgufTensor& b) {
      return std::pair(a.offset_bytes, a.size_bytes) < std::pair(b.offset_bytes, b.size_bytes);
    });
    const uint64_t data_bytes = file_bytes_ - header_.data_start_bytes;
    for (size_t i = 0; i < tensors.size(); ++i) {
      GgufTensor& tensor = tensors[i];
      const uint64_t limit = i + 1 < tensors.size() ? std::min(tensors[i + 1].offset_bytes, data_bytes) : data_bytes;
      auto broken = [&](const std::string& what) { return Corrupt("tensor " + Quoted(tensor.name) + ": " + what); };
      if (tensor.offset_bytes % alignment_ != 0) {
        return broken("offset " + std::to_string(tensor.offset_bytes) + " is not a multiple of " +
                      std::to_string(alignment_));
      }
      if (tensor.offset_bytes > data_bytes) return broken("begins behind the end of the file");
      if (tensor.type == nullptr) tensor.size_bytes = limit - tensor.offset_bytes;
      if (tensor.size_bytes > limit - tensor.offset_bytes) {
        return broken(limit == data_bytes ? "ends behind the end of the file" : "overlaps the tensor after it");
      }
      tensor.offset_bytes += header_.data_start_bytes;
    }
    return OkStatus();
  }

  ByteReader reader_;
  const uint64_t file_bytes_;
  uint64_t tensor_count_ = 0;
  uint64_t key_count_ = 0;
  uint32_t alignment_ = kDefaultAlignment;
  std::set<std::string> names_;
  GgufHeader header_;
};

}  // namespace

Result<GgufHeader> ParseGguf(ByteSpan bytes, uint64_t file_bytes, bool* is_cut_short) {
  Parser parser(bytes, file_bytes);
  Result<GgufHeader> header = parser.Parse();
  if (is_cut_short != nullptr) *is_cut_short = parser.is_cut_short();
  return header;
}

Result<GgufHeader> ReadGgufHeader(const RandomAccessFile& file) {
  // How long a header is shows only when it is parsed.
  for (uint64_t length = 1 << 20;; length *= 4) {
    const uint64_t most = std::min(file.size(), kMaxGgufHeaderBytes);
    length = std::min(length, most);
    Buffer bytes(length);
    ENTROFS_RETURN_IF_ERROR(file.ReadAt(0, bytes.span()));
    bool is_cut_short = false;
    Result<GgufHeader> header = ParseGguf(bytes.span(), file.size(), &is_cut_short);
    if (header || !is_cut_short || length == most) return header;
  }
}

}  // namespace entrofs::packer::source
