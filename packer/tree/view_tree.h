#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/views.h"
#include "base/file.h"

// What an archive shows its stored bytes as, besides the files they were stored for.
namespace entrofs::packer::tree {

// A run of bytes of a file of a view.
struct ViewPart {
  std::string name;  // as FilePart has it
  // Stored bytes, which are those of parts of the tree: the very objects. One of any part, to be shown as it is; or the
  // codes, the scales and, if they are stored, the zero points of a matrix, each of a tensor that stands_alone.
  std::vector<std::shared_ptr<const RandomAccessFile>> inputs;
  // Computes the bytes from these inputs, whose numbers it leaves open; none: the input as it is.
  std::optional<archive::DerivedExtent> function;

  uint64_t size_bytes() const { return function ? function->plain_bytes : inputs.front()->size(); }
};

// A file of a view, as parts in order without gaps.
struct ViewFile {
  std::string path;
  uint32_t mode = 0444;
  int64_t mtime_ns = 0;
  std::vector<ViewPart> parts;
};

struct ViewTree {
  std::string name;  // archive::IsViewName
  std::vector<std::string> directories;
  std::vector<ViewFile> files;  // by path
};

}  // namespace entrofs::packer::tree
