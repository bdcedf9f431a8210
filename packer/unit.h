#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "packer/output_tree.h"

namespace entrofs::packer {

// What becomes one extent of the archive: a tensor, a run of small tensors of one type, or a stretch of a literal.
struct Unit {
  std::string name;
  std::optional<Dtype> dtype;  // of the tensors; nullopt for literals
  std::shared_ptr<const RandomAccessFile> bytes;
  std::vector<const OutputTensor*> tensors;  // of the file the unit was cut from
};

// Tensors below this size are run together with neighbours of their type, so that a model of many small ones does not
// pay for an extent and a table each.
inline constexpr uint64_t kSmallTensorBytes = 16 << 10;
inline constexpr uint64_t kMaxRunBytes = 1 << 20;
// Literals are cut so that each stretch is coded as fits it.
inline constexpr uint64_t kLiteralUnitBytes = 16 << 20;

// The units of `file`, in order; together they hold its bytes. Zero-size tensors are in no unit. `file` must outlive
// the result.
std::vector<Unit> CutIntoUnits(const OutputFile& file);

}  // namespace entrofs::packer
