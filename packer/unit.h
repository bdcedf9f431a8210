#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codec/codec.h"
#include "packer/output_tree.h"

namespace entrofs::packer {

// What becomes one extent of the archive: a tensor, a run of small tensors of one type, or a stretch of a literal.
struct Unit {
  std::string name;
  std::optional<Dtype> dtype;  // of the tensors; nullopt for literals
  const GgmlType* blocks;      // as OutputTensor has it
  std::shared_ptr<const RandomAccessFile> bytes;
  std::vector<const OutputTensor*> tensors;  // of the file the unit was cut from
};

// Literals are cut so that each stretch is coded as fits it.
inline constexpr uint64_t kLiteralUnitBytes = 16 << 20;

// The units of `file`, in order, each tensor one; together they hold its bytes. Zero-size tensors are in no unit.
// `file` must outlive the result.
std::vector<Unit> CutIntoUnits(const OutputFile& file);

// The layouts worth measuring for a unit.
std::vector<codec::Layout> CandidateLayouts(const Unit& unit);

// Several tensors of one type that follow one another, as one unit.
Unit JoinedUnit(const std::vector<const OutputTensor*>& tensors);

}  // namespace entrofs::packer
