#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "codec/codec.h"
#include "packer/pack/measure.h"
#include "packer/source/tensor.h"

// Which layout, codecs and tables to write a tensor with.
namespace entrofs::packer::pack {

enum class CodecChoice {
  kAuto,      // whatever is smallest and fast to decode with wide vectors
  kAutoEdge,  // the same for small ARM cores and others without them: huffman unless it takes much more than tans
  kTans,      // tans where it gains
  kHuffman,   // huffman where it gains
  kStored,    // no coding at all
};
std::optional<CodecChoice> ParseCodecChoice(std::string_view name);
std::string_view Name(CodecChoice choice);
// Whether it is left to us what suits each plane best.
bool IsAutomatic(CodecChoice choice);

// The entropy coders to choose from for a plane of this size: in small ones the fixed cost of a stream may matter more
// than speed.
std::vector<codec::CodecKind> EntropyCoders(CodecChoice choice, uint64_t plane_bytes);

struct Coding {
  codec::Layout layout;
  std::vector<codec::PlaneEncoder> planes;
  double entropy_bits = 0;     // order-0, of the planes
  double estimated_bytes = 0;  // of streams and tables

  // "tans", "stored+tans": the codecs of the planes from the lowest byte up, each named once.
  std::string CodecNames() const;
};

// The layouts in a measurement, those without rotation also as plain bytes; fewer planes first.
std::vector<LayoutCounts> LayoutsToTry(const Measurement& measurement);

// Tables that several tensors share, at most `most_tables` per kind of plane. Planes of like statistics share one.
class SharedTables {
 public:
  explicit SharedTables(size_t most_tables) : most_tables_(most_tables) {}

  // First every tensor is added, best the largest first; then Find.
  void Add(const LayoutCounts& counts);
  // The table that suits a plane of this histogram best; null when none has codes for all its values.
  std::shared_ptr<const codec::EncodeTable> Find(codec::CodecKind kind, const codec::Layout& layout, size_t plane,
                                                 const codec::Histogram& histogram);

 private:
  using Key = std::tuple<size_t, size_t, int, size_t>;
  static Key KeyOf(const codec::Layout& layout, size_t plane);
  // Planes that share a table, which is built when it is wanted.
  struct Cluster {
    codec::Histogram sum;
    std::map<codec::CodecKind, std::shared_ptr<const codec::EncodeTable>> tables;
  };
  void AddPlane(const codec::Histogram& plane, std::vector<Cluster>& clusters) const;

  size_t most_tables_;
  std::map<Key, std::vector<Cluster>> clusters_;
};

struct CodingOptions {
  CodecChoice codec = CodecChoice::kAuto;
  uint32_t segment_bytes = codec::kDefaultSegmentBytes;
  // Null: a table per plane and tensor. Else tables to use where they save more than a table of its own costs, or, with
  // `only_shared`, always.
  SharedTables* shared = nullptr;
  bool only_shared = false;
  // Bytes that are codes of weights we rounded: noise as a rule, on which zstd is tried only where it repeats itself.
  bool is_rounded = false;
};

// The layouts worth measuring for elements of `dtype`; of bytes of unknown kind for nullopt.
std::vector<codec::Layout> CandidateLayouts(std::optional<source::Dtype> dtype);

// The cheapest coding among the measured layouts. A plane that does not gain 1 % is stored. `sample` are some whole
// elements of the bytes that were measured, on which zstd is tried with the automatic choices.
Coding ChooseCoding(const Measurement& measurement, ByteSpan sample, const CodingOptions& options);

}  // namespace entrofs::packer::pack
