#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/hash.h"

// What an archive shows besides its stored tree: views, whose files are lists of extents, and derived extents, which
// are computed from stored ones. Specified in docs/archive-format.md, "Views"; change both together.
namespace entrofs::archive {

// In place of an extent number where there is none.
inline constexpr uint32_t kNoExtent = 0xffffffff;
inline constexpr uint64_t kMaxLiteralBytes = 4096;
// Bytes of a row of codes beyond those that its codes need, at most: else a few numbers could need any number of bytes.
inline constexpr uint64_t kMaxRowPaddingBytes = 7;
inline constexpr size_t kMaxViewNameBytes = 64;
inline constexpr size_t kMaxViews = 64;
// Of an archive, and in the files of a view: records are short and take more memory than index, so their number is
// bounded. A model of 1 TB has some hundred thousand tensors.
inline constexpr size_t kMaxDerivedExtents = 1 << 22;
inline constexpr size_t kMaxViewExtents = 1 << 22;

// Values are those of the archive; never renumber.
enum class CodeForm : uint8_t {
  kU8 = 0,  // a byte each, 0..255
  kI8 = 1,  // a byte each, two's complement
  kU4 = 2,  // half a byte each, 0..15, the low half first
};
enum class ZeroForm : uint8_t {
  kConstant = 0,    // the same for all codes: CodeMatrix::zero
  kBytes = 1,       // a byte for each scale, of the form of the codes (0..255 for kU4)
  kU8DownRows = 2,  // four rows of scales in a little-endian u32, the first lowest
  kU4DownRows = 3,  // eight rows of scales in a little-endian u32, the first lowest
};
enum class FloatType : uint8_t { kBf16 = 0, kF16 = 1, kF32 = 2 };
// Numbers of GGUF's tensor types.
enum class BlockType : uint8_t { kQ4_0 = 2, kQ4_1 = 3, kQ8_0 = 8 };

// A matrix of codes with their scales: what dequantize and interleave read. Inputs are numbers of stored extents. Row r
// of the codes begins at byte r x row_bytes, its columns follow one another. The scale of row r and column c, and its
// zero point, is number (r / rows_per_scale) x ScaleColumns() + c / columns_per_scale.
struct CodeMatrix {
  uint32_t codes = kNoExtent;
  uint32_t scales = kNoExtent;
  uint32_t zeros = kNoExtent;          // kNoExtent with ZeroForm::kConstant
  uint32_t column_scales = kNoExtent;  // of the scales' type, one for each column; kNoExtent: none
  CodeForm code_form = CodeForm::kI8;
  ZeroForm zero_form = ZeroForm::kConstant;
  int16_t zero = 0;  // -128..255
  FloatType scale_type = FloatType::kBf16;
  uint64_t rows = 0;
  uint64_t columns = 0;
  uint64_t row_bytes = 0;
  uint64_t rows_per_scale = 1;     // at most rows
  uint64_t columns_per_scale = 1;  // at most columns

  uint64_t ScaleRows() const { return (rows - 1) / rows_per_scale + 1; }
  uint64_t ScaleColumns() const { return (columns - 1) / columns_per_scale + 1; }
  friend bool operator==(const CodeMatrix&, const CodeMatrix&) = default;
};

enum class Function : uint8_t {
  kCopy = 1,        // a range of `input`
  kLiteral = 2,     // the bytes of `literal`
  kDequantize = 3,  // (code - zero point) x scale, as `output`
  kFlip = 4,        // `input`, each byte exclusive-or `mask`
  kInterleave = 5,  // scales and codes as blocks of `block_type`
};

// A pure function of stored extents. Fields that its function does not use are as they are by default.
struct DerivedExtent {
  std::string name;  // as Extent::name
  Function function = Function::kLiteral;
  uint64_t plain_bytes = 0;  // of what it gives; at least 1
  uint32_t input = kNoExtent;
  uint64_t offset_bytes = 0;  // kCopy: where the range begins
  uint8_t mask = 0;
  FloatType output = FloatType::kBf16;
  BlockType block_type = BlockType::kQ8_0;
  std::vector<uint8_t> literal;
  CodeMatrix matrix;
  friend bool operator==(const DerivedExtent&, const DerivedExtent&) = default;
};

// A file of a view. Its content is that of its extents in order: numbers below the count of stored extents are stored
// ones, the others derived ones.
struct ViewFile {
  std::string path;
  uint32_t mode = 0444;
  int64_t mtime_ns = 0;
  uint64_t size_bytes = 0;
  Hash128 hash{};
  std::vector<uint32_t> extents;
  friend bool operator==(const ViewFile&, const ViewFile&) = default;
};

struct View {
  std::string name;                      // IsViewName
  std::vector<std::string> directories;  // as those of the index
  std::vector<ViewFile> files;           // sorted by path
  friend bool operator==(const View&, const View&) = default;
};

// 1 to kMaxViewNameBytes of a-z, 0-9 and '-'.
bool IsViewName(const std::string& name);

inline size_t FloatBytes(FloatType type) { return type == FloatType::kF32 ? 4 : 2; }
// Bytes of a block of 32 codes.
size_t BlockBytes(BlockType type);
inline constexpr uint64_t kBlockCodes = 32;

}  // namespace entrofs::archive
