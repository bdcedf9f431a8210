#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/result.h"

// Bytes <-> entropy-coded bytes. The formats are specified in docs/codec-format.md; this is the only header of codec/
// that other folders include. No files, threads or logging here. Everything is deterministic: the same input gives the
// same bytes on every CPU and with every kernel.
//
// Vocabulary: a *segment* is the unit of random access (256 KiB of plain bytes by default). A *layout* says how the
// plain bytes of a segment are split into *planes* (one for bytes, two for BF16, ...). Each plane of a segment is one
// *stream*, coded with a *codec* and, for tans and huffman, a *table* shared by all segments of a tensor.
namespace entrofs::codec {

// Values are those of the archive; never renumber.
enum class CodecKind : uint8_t {
  kStored = 0,    // the plain bytes
  kConstant = 1,  // one byte value, repeated
  kTans = 2,      // 64-state tANS over rank classes, 64 lanes
  kHuffman = 3,   // prefix code of at most 6 bits over the same classes, 4 contiguous streams
  kZstd = 4,      // one zstd frame
};
std::string_view Name(CodecKind kind);

// Number of times each byte value occurs.
using Histogram = std::array<uint64_t, 256>;
// Adds the bytes of `plain` to `histogram`.
void CountBytes(ByteSpan plain, Histogram& histogram);
// Order-0 entropy in bits of all counted bytes together.
double EntropyBits(const Histogram& histogram);

// What a decoder needs for one tans or huffman table. Immutable; share it between threads.
class DecodeTable;
// What an encoder needs for one table. Immutable; share it between threads.
class EncodeTable;

// Limits a caller may rely on.
inline constexpr size_t kMaxTableBytes = 1024;
inline constexpr size_t kMinSegmentBytes = 64 << 10;
inline constexpr size_t kMaxSegmentBytes = 4 << 20;
inline constexpr size_t kDefaultSegmentBytes = 256 << 10;
inline constexpr size_t kSegmentGranularityBytes = 256;
inline constexpr size_t kMaxPlanes = 8;
// Decoders may read, never write, this many bytes past the end of a stored segment. Whoever hands one to DecodeSegment
// makes them readable; their values do not matter.
inline constexpr size_t kReadSlackBytes = 256;

// Builds a table for kTans or kHuffman fitted to `histogram`, which should count all the data: a byte value of count
// zero may have no code, and a plane of a segment that holds one is then stored. An empty histogram is allowed.
std::shared_ptr<const EncodeTable> BuildTable(CodecKind kind, const Histogram& histogram);
// The bytes to keep in the archive, at most kMaxTableBytes.
ByteSpan SerializedTable(const EncodeTable& table);
// Bits that coding data of this histogram with `table` takes, without the overhead per segment (which is about a
// hundred bytes). Values without a code count 64 bits.
double EstimateBits(const EncodeTable& table, const Histogram& histogram);
// Parses and validates untrusted bytes. kCorrupt when they are not a table of this kind.
Result<std::shared_ptr<const DecodeTable>> ParseTable(CodecKind kind, ByteSpan serialized);

// A run of bytes of a block, and the plane they go to.
struct BlockField {
  uint16_t bytes = 0;
  uint8_t plane = 0;
  friend bool operator==(const BlockField&, const BlockField&) = default;
};
inline constexpr size_t kMaxBlockFields = 16;
inline constexpr size_t kMaxBlockBytes = 4096;

// How the plain bytes of a segment become planes. Elements are little-endian numbers of `element_bytes` bytes; plane p
// holds byte p of every element after the element was rotated left by one bit if `rotate_sign` is set (which brings the
// exponent of a floating-point number together in the highest byte), or after the element before it in the segment was
// subtracted if `delta` is set. With `trellis` the bytes are codes of a trellis-coded quantizer, of which the plane
// holds the indices; other bytes are kept as exactly, but take more. {1, false} is one plane: the bytes themselves.
// With `block`, the bytes are records instead: blocks of these fields, each of which goes to its plane whole (a scale
// and the weights under it). Bytes after the last whole element or block of a tensor are kept, uncoded, behind the
// planes.
struct Layout {
  uint8_t element_bytes = 1;  // 1, 2, 4 or 8
  bool rotate_sign = false;   // requires element_bytes > 1
  bool delta = false;         // requires !rotate_sign
  bool trellis = false;       // requires element_bytes == 1 and the others as they are by default
  // Not empty: requires the others as they are by default; at most kMaxBlockFields fields of at most kMaxBlockBytes
  // bytes together, each plane below the highest used.
  std::vector<BlockField> block = {};

  size_t plane_count() const;
  // Of an element or a block.
  size_t unit_bytes() const;
  // Whether it needs an archive with extended layouts.
  bool is_extended() const { return delta || !block.empty(); }
  // Whether its planes depend on where segments begin.
  bool begins_anew() const { return delta || trellis; }
  friend bool operator==(const Layout&, const Layout&) = default;
};
Status ValidateLayout(const Layout& layout);

// Adds every plane of `plain` (starting with an element or block; with begins_anew(), where a segment does) to
// histograms[plane]; spans plane_count() entries.
void CountPlanes(const Layout& layout, ByteSpan plain, std::span<Histogram> histograms);

// One plane's way of coding, for encoding. `table` is required for kTans and kHuffman, null otherwise.
struct PlaneEncoder {
  CodecKind kind = CodecKind::kStored;
  std::shared_ptr<const EncodeTable> table;
};
// The same for decoding. `kind` is the plane's usual codec; a segment may override it with kStored or kConstant.
struct PlaneDecoder {
  CodecKind kind = CodecKind::kStored;
  std::shared_ptr<const DecodeTable> table;
};

// Reusable working memory of one thread's encode or decode calls; any calls may share one, one at a time.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(Scratch&&) noexcept;
  Scratch& operator=(Scratch&&) noexcept;

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// Appends the stored form of one segment to `out`: a header naming each plane's codec and length, then the streams.
// No checksum: that is the archive's. A plane that coding does not shrink is stored; a plane of one value is constant.
// Requires: 0 < plain.size() <= kMaxSegmentBytes, planes.size() == layout.plane_count().
void EncodeSegment(const Layout& layout, std::span<const PlaneEncoder> planes, ByteSpan plain, Scratch& scratch,
                   std::vector<uint8_t>& out);

// Fills exactly `plain` from `stored`, which is untrusted. After stored.end() kReadSlackBytes more bytes are readable.
// kCorrupt when `stored` is not a segment of this size, layout and tables; `plain` then holds garbage. Never reads or
// writes outside what is stated, whatever the bytes. Thread-safe with one Scratch per thread.
Status DecodeSegment(const Layout& layout, std::span<const PlaneDecoder> planes, ByteSpan stored, Scratch& scratch,
                     MutableByteSpan plain);

// The kernel sets this CPU can run, best first, "scalar" last.
std::vector<std::string_view> SupportedKernels();
// The set in use: the best, or the one named by the environment variable ENTROFS_KERNELS.
std::string_view ActiveKernels();
// kInvalidArgument, naming the choices, when that variable is set and names none of them; the best set is in use then.
// For programs to refuse, before they begin.
Status CheckKernelsVariable();
// Changes it for the whole process; kInvalidArgument when unknown or not supported. For tests and benchmarks; not
// while another thread encodes or decodes.
Status SelectKernels(std::string_view name);

}  // namespace entrofs::codec
