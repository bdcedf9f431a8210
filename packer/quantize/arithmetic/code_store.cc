#include "packer/quantize/arithmetic/code_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace entrofs::packer::quantize::arithmetic {
namespace {

std::string Folder() {
  const char* folder = std::getenv("TMPDIR");
  return folder != nullptr && *folder != '\0' ? folder : "/tmp";
}

// An open file without a name, or -1. Not every file system can make one at once.
int OpenNameless(const std::string& folder) {
  const int descriptor = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return descriptor;
  std::string name = folder + "/entro-pack.XXXXXX";
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

}  // namespace

Result<std::shared_ptr<CodeStore>> CodeStore::Create(uint64_t size) {
  const int descriptor = OpenNameless(Folder());
  if (descriptor < 0) return SystemError("cannot write to " + Folder(), errno);
  std::shared_ptr<CodeStore> store(new CodeStore(descriptor, size));
  if (const int error = ::posix_fallocate(descriptor, 0, static_cast<off_t>(size)); size > 0 && error != 0) {
    return SystemError(
        "cannot write " + std::to_string(size) + " bytes to " + Folder() + " (TMPDIR names another place)", error);
  }
  return store;
}

CodeStore::~CodeStore() { ::close(descriptor_); }

Status CodeStore::Write(uint64_t offset, ByteSpan codes) {
  while (!codes.empty()) {
    const ssize_t written = ::pwrite(descriptor_, codes.data(), codes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return SystemError("cannot write to " + Folder(), errno);
    codes = codes.subspan(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return OkStatus();
}

Status CodeStore::ReadAt(uint64_t offset, MutableByteSpan out) const {
  while (!out.empty()) {
    const ssize_t count = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError("cannot read from " + Folder(), errno);
    if (count == 0) return Error{ErrorCode::kCorrupt, "read past the end of stored codes"};
    out = out.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
  return OkStatus();
}

}  // namespace entrofs::packer::quantize::arithmetic
