#include "packer/read/unfinished.h"

#include <mutex>

#include "packer/read/temporary_directory.h"

namespace entrofs::packer::read {
namespace {

// Held while a file comes to be, so that none is between its creation and its registration when all are removed.
std::mutex creation_mutex;
bool ended = false;

}  // namespace

Result<std::unique_ptr<NewFile>> CreateUnfinishedFile(const std::string& path) {
  std::lock_guard lock(creation_mutex);
  if (ended) return Error{ErrorCode::kCancelled, "interrupted"};
  return CreateFile(path);
}

void RemoveUnfinished() {
  std::lock_guard lock(creation_mutex);
  ended = true;
  RemoveUncommittedFiles();
  TemporaryDirectory::RemoveAll();
}

}  // namespace entrofs::packer::read
