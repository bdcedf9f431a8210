#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "packer/source/gguf.h"
#include "packer/source/safetensors.h"
#include "packer/source/source_file.h"

namespace entrofs::packer::source {

struct CheckpointFile {
  std::string path;  // relative to the checkpoint, '/' between parts
  std::shared_ptr<const SourceFile> file;
  std::optional<SafetensorsHeader> header;  // of *.safetensors files
  std::optional<GgufHeader> gguf;           // of *.gguf files
};

// What is to be packed: the files below a directory, or one file alone.
struct Checkpoint {
  std::string root;                      // as the user named it
  std::vector<CheckpointFile> files;     // by path
  std::vector<std::string> directories;  // without any file in or below them, by path
  std::vector<std::string> left_out;     // what IsLeavings names, by path
  std::vector<std::string> warnings;     // for the user, one line each
  uint64_t size_bytes() const;
};

// Lists `source`: a directory, walked to the bottom, or a regular file. Links to regular files count as files, as in
// the caches of Hugging Face's hub; links that lead nowhere, links to directories, sockets, pipes, devices and names
// that an archive cannot hold are errors that name them, and so is the root of such a cache (kInvalidArgument). What
// IsLeavings names is left out.
Result<Checkpoint> ListCheckpoint(const std::string& source);

// ListCheckpoint, then reads the headers of all *.safetensors and *.gguf files. A file alone must be one of these.
// Errors name the file, and the tensor where one is at fault. A file whose header is broken, or of a later version than
// we know, is a file like any other, with a warning; but where no other file's header can be read a broken one is the
// error. Warnings also tell of Git LFS pointers, of parts that are missing, and of what was left out.
Result<Checkpoint> OpenCheckpoint(const std::string& source);

}  // namespace entrofs::packer::source
