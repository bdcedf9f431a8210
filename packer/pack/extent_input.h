#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codec/codec.h"
#include "packer/tree/output_tree.h"

namespace entrofs::packer::pack {

// What becomes one extent of the archive: a tensor, a run of small tensors of one type, or a stretch of a literal.
struct ExtentInput {
  std::string name;
  std::optional<source::Dtype> dtype;  // of the tensors; nullopt for literals
  const source::GgmlType* blocks;      // as OutputTensor has it
  std::shared_ptr<const RandomAccessFile> bytes;
  std::vector<const tree::OutputTensor*> tensors;  // of the file the input was cut from
  const tree::Literal* literal = nullptr;          // the same, where it is no tensors: all of it or a stretch
};

// Literals are cut so that each stretch is coded as fits it.
inline constexpr uint64_t kLiteralExtentBytes = 16 << 20;

// The inputs of `file`, in order, each tensor one; together they hold its bytes. Zero-size tensors are in no input.
// `file` must outlive the result.
std::vector<ExtentInput> CutIntoExtents(const tree::OutputFile& file);

// The layouts worth measuring for an input.
std::vector<codec::Layout> CandidateLayouts(const ExtentInput& input);

// Several tensors of one type that follow one another, as one input.
ExtentInput JoinedExtent(const std::vector<const tree::OutputTensor*>& tensors);

}  // namespace entrofs::packer::pack
