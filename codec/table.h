#pragma once

#include <array>
#include <memory>
#include <vector>

#include "codec/class_map.h"
#include "codec/code_writer.h"
#include "codec/codec.h"
#include "codec/kernels/kernels.h"

// The tables behind tans and huffman streams. A TableModel is what is serialized; the rest is derived from it.
namespace entrofs::codec {

inline constexpr unsigned kMaxClassCodeBits = 6;  // of huffman
inline constexpr unsigned kMaxEscapeBits = 11;

struct TableModel {
  CodecKind kind = CodecKind::kTans;
  ClassMap map;
  // kTans: the class of each state. kHuffman: unused.
  std::array<uint8_t, kStates> state_class = {};
  // kHuffman: code length of each class, the escape last. kTans: unused.
  std::vector<uint8_t> class_lengths;
  // Code length of each class from coded_classes on, when there are escapes.
  std::vector<uint8_t> escape_lengths;

  // Coded classes, and the escape if the map has classes beyond them.
  unsigned class_symbols() const { return map.coded_classes + (map.coded_classes < map.class_count() ? 1 : 0); }
  bool has_escapes() const;
};

std::vector<uint8_t> SerializeModel(const TableModel& model);
// kCorrupt unless `bytes` is exactly one valid model.
Result<TableModel> ParseModel(CodecKind kind, ByteSpan bytes);

// Chooses the model that codes data of this histogram in the fewest bits, or nearly so where that decodes faster.
TableModel FitModel(CodecKind kind, const Histogram& histogram);

// The tANS state machine.
struct TansTransitions {
  std::array<uint8_t, kStates> bit_count;
  std::array<uint8_t, kStates> next_base;
};
TansTransitions MakeTransitions(const std::array<uint8_t, kStates>& state_class);

class EncodeTable {
 public:
  explicit EncodeTable(TableModel model);

  TableModel model;
  std::vector<uint8_t> serialized;
  ClassifyTables classify = {};
  std::array<double, 256> cost_bits;  // by byte value, estimate
  CodeTable escape_codes = {};        // by class number, for those that escape
  // kTans.
  TansEncodeTables tans = {};
  std::array<uint8_t, kMaxClasses> last_state = {};  // some state of each class symbol
  size_t tail_rounds = 0;                            // what streams with this table should have
  CodeTable class_codes = {};                        // kHuffman, by class symbol

 private:
  void FillTans();
  void FillHuffman();
  void FillEscapes();
  void FillValues();
};

class DecodeTable {
 public:
  explicit DecodeTable(const TableModel& model);

  CodecKind kind;
  TansTables tans = {};                         // its `finish` is set for both kinds
  std::unique_ptr<const EscapeTables> escapes;  // if there are any
  std::unique_ptr<const PrefixTables> prefix;   // kHuffman
};

}  // namespace entrofs::codec
