#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "codec/codec.h"
#include "packer/measure.h"
#include "packer/tensor.h"

// Which layout, codecs and tables to write a tensor with.
namespace entrofs::packer {

enum class CodecChoice {
  kAuto,     // whatever is smallest and fast to decode
  kTans,     // tans where it gains
  kHuffman,  // huffman where it gains
  kStored,   // no coding at all
};
std::optional<CodecChoice> ParseCodecChoice(std::string_view name);
std::string_view Name(CodecChoice choice);

struct Coding {
  codec::Layout layout;
  std::vector<codec::PlaneEncoder> planes;
  double entropy_bits = 0;  // order-0, of the planes

  // "tans", "stored+tans": the codecs of the planes from the lowest byte up, each named once.
  std::string CodecNames() const;
};

// One table for all tensors of an archive, per kind of plane.
class SharedTables {
 public:
  explicit SharedTables(codec::CodecKind kind) : kind_(kind) {}

  // First every tensor is added, then Build, then Find.
  void Add(const LayoutCounts& counts);
  void Build();
  // Null when no tensor had such a plane.
  std::shared_ptr<const codec::EncodeTable> Find(const codec::Layout& layout, size_t plane) const;

 private:
  using Key = std::tuple<uint8_t, bool, size_t>;
  codec::CodecKind kind_;
  std::map<Key, codec::Histogram> histograms_;
  std::map<Key, std::shared_ptr<const codec::EncodeTable>> tables_;
};

struct CodingOptions {
  CodecChoice codec = CodecChoice::kAuto;
  uint32_t segment_bytes = codec::kDefaultSegmentBytes;
  const SharedTables* shared = nullptr;  // null: a table per plane and tensor
};

// The layouts worth measuring for elements of `dtype`; of bytes of unknown kind for nullopt.
std::vector<codec::Layout> CandidateLayouts(std::optional<Dtype> dtype);

// The cheapest coding among the measured layouts. A plane that does not gain 1 % is stored. `sample` are some whole
// elements of the bytes that were measured, on which zstd is tried with CodecChoice::kAuto.
Coding ChooseCoding(const Measurement& measurement, ByteSpan sample, const CodingOptions& options);

}  // namespace entrofs::packer
