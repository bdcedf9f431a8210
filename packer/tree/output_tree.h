#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "packer/source/checkpoint.h"
#include "packer/tree/output_tensor.h"
#include "packer/tree/view_tree.h"

namespace entrofs::packer::tree {

// Bytes that belong to no tensor: a header, a whole configuration file.
struct Literal {
  std::string name;  // for messages: "header", "content"
  std::shared_ptr<const RandomAccessFile> bytes;
};

using FilePart = std::variant<Literal, OutputTensor>;
const std::string& NameOf(const FilePart& part);
const RandomAccessFile& BytesOf(const FilePart& part);

// A virtual file, as pieces in order without gaps.
struct OutputFile {
  std::string path;
  uint32_t mode = 0444;
  int64_t mtime_ns = 0;
  std::vector<FilePart> parts;
  // False for what no file of the archive's own tree shows: `parts` are then stored for views, and the path only says
  // in reports where they come from.
  bool is_shown = true;
  // The input that the pieces were made from and that must not change meanwhile; null when there is none.
  std::shared_ptr<const source::SourceFile> source;

  uint64_t size_bytes() const;
};

// Everything an archive is to show.
struct OutputTree {
  std::vector<OutputFile> files;  // by path
  std::vector<std::string> directories;
  // What else the archive shows the parts of `files` as; nothing in most trees.
  std::vector<ViewTree> views;
  std::string name;                   // of the shown files as a view; empty where there is no other
  std::string default_view;           // `name` or that of one of `views`; empty where there are none
  std::vector<std::string> warnings;  // for the user, one line each
  // The same about what programs that load the files may miss.
  std::vector<std::string> loading_warnings;

  uint64_t size_bytes() const;   // of all parts of all files
  uint64_t shown_bytes() const;  // of the files of the default view
};

// `file` unchanged: its tensors, if it is a safetensors file, and the bytes around them.
OutputFile UnchangedFile(const source::CheckpointFile& file);

// Tensor `info` of `file`, unchanged.
OutputTensor UnchangedTensor(const source::CheckpointFile& file, const source::TensorInfo& info);

// The checkpoint byte for byte.
OutputTree LosslessTree(const source::Checkpoint& checkpoint);

}  // namespace entrofs::packer::tree
