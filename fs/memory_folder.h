#pragma once

#include <cstdint>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace entrofs::fs {

// A tmpfs that is mounted nowhere, whose files lie in large pages where the kernel has them. Its files have no names:
// their memory is free once the last descriptor and the last mapping are gone, whoever has them. Thread-safe.
class MemoryFolder {
 public:
  // kUnsupported where the kernel or this process's rights do not allow it (root only, Linux 5.2 or later), or where
  // IsUsedByOthers would not work.
  static Result<MemoryFolder> Make();

  // An empty file, for reading and writing.
  Result<FileDescriptor> NewFile() const;

 private:
  explicit MemoryFolder(FileDescriptor folder) : folder_(std::move(folder)) {}

  FileDescriptor folder_;
};

// Whether anybody but this descriptor has the file open or mapped. Requires: `fd` is one of NewFile.
bool IsUsedByOthers(int fd);

}  // namespace entrofs::fs
