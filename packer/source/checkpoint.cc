#include "packer/source/checkpoint.h"

#include <algorithm>
#include <filesystem>

#include "archive/paths.h"

namespace entrofs::packer::source {
namespace {

namespace stdfs = std::filesystem;

constexpr std::string_view kSafetensorsSuffix = ".safetensors";
constexpr std::string_view kGgufSuffix = ".gguf";

// Well-formed, but not something that can be packed.
Error Refused(const stdfs::path& path, const std::string& why) {
  return Error{ErrorCode::kUnsupported, path.string() + ": " + why};
}

Error FromSystem(const stdfs::path& path, const std::error_code& code) {
  return SystemError("cannot read " + path.string(), code.value());
}

class Lister {
 public:
  explicit Lister(std::string root) : root_(root) { checkpoint_.root = std::move(root); }

  Result<Checkpoint> List() {
    std::error_code code;
    stdfs::file_status status = stdfs::status(root_, code);
    if (status.type() == stdfs::file_type::not_found) return SystemError("cannot read " + root_.string(), ENOENT);
    if (code) return FromSystem(root_, code);
    if (status.type() == stdfs::file_type::directory) {
      ENTROFS_RETURN_IF_ERROR(ListDirectory(root_, ""));
    } else if (status.type() == stdfs::file_type::regular) {
      ENTROFS_RETURN_IF_ERROR(AddFile(root_, root_.filename().string()));
    } else {
      return Refused(root_, "neither a directory nor a file");
    }
    std::sort(checkpoint_.files.begin(), checkpoint_.files.end(),
              [](const CheckpointFile& a, const CheckpointFile& b) { return a.path < b.path; });
    std::sort(checkpoint_.directories.begin(), checkpoint_.directories.end());
    return std::move(checkpoint_);
  }

 private:
  // Lists what is in `folder`, whose path in the checkpoint is `prefix` ("" or "a/b/").
  Status ListDirectory(const stdfs::path& folder, const std::string& prefix) {
    std::error_code code;
    stdfs::directory_iterator entries(folder, code);
    if (code) return FromSystem(folder, code);
    const size_t files_before = checkpoint_.files.size();
    const size_t directories_before = checkpoint_.directories.size();
    while (entries != stdfs::directory_iterator()) {
      ENTROFS_RETURN_IF_ERROR(AddEntry(entries->path(), prefix + entries->path().filename().string()));
      entries.increment(code);
      if (code) return FromSystem(folder, code);
    }
    const bool empty = checkpoint_.files.size() == files_before && checkpoint_.directories.size() == directories_before;
    if (empty && !prefix.empty()) checkpoint_.directories.push_back(prefix.substr(0, prefix.size() - 1));
    return OkStatus();
  }

  Status AddEntry(const stdfs::path& path, const std::string& name) {
    if (!archive::IsSafePath(name)) return Refused(path, "an archive cannot hold a file of this name");
    std::error_code code;
    const bool link = stdfs::symlink_status(path, code).type() == stdfs::file_type::symlink;
    if (code) return FromSystem(path, code);
    const stdfs::file_status status = stdfs::status(path, code);
    switch (status.type()) {
      case stdfs::file_type::regular:
        return AddFile(path, name);
      case stdfs::file_type::directory:
        if (link) return Refused(path, "is a link to a directory; only links to files can be packed");
        return ListDirectory(path, name + "/");
      case stdfs::file_type::not_found:
        return Refused(path, "is a link that leads nowhere");
      case stdfs::file_type::none:
        return FromSystem(path, code);
      default:
        return Refused(path, "is not a file or directory (a socket, pipe or device)");
    }
  }

  Status AddFile(const stdfs::path& path, const std::string& name) {
    ENTROFS_ASSIGN_OR_RETURN(FileIdentity identity, IdentityOf(path.string()));
    checkpoint_.files.push_back({name, std::make_shared<SourceFile>(path.string(), identity, open_files_), {}, {}});
    return OkStatus();
  }

  const stdfs::path root_;
  const std::shared_ptr<OpenFiles> open_files_ = std::make_shared<OpenFiles>();
  Checkpoint checkpoint_;
};

}  // namespace

uint64_t Checkpoint::size_bytes() const {
  uint64_t total = 0;
  for (const CheckpointFile& file : files) total += file.file->size();
  return total;
}

Result<Checkpoint> ListCheckpoint(const std::string& source) { return Lister(source).List(); }

Result<Checkpoint> OpenCheckpoint(const std::string& source) {
  ENTROFS_ASSIGN_OR_RETURN(Checkpoint checkpoint, ListCheckpoint(source));
  std::error_code ignored;
  const bool is_alone = !stdfs::is_directory(source, ignored);
  if (is_alone && !source.ends_with(kSafetensorsSuffix) && !source.ends_with(kGgufSuffix)) {
    return Error{ErrorCode::kInvalidArgument, source + ": is neither a directory nor a .safetensors or .gguf file"};
  }
  for (CheckpointFile& file : checkpoint.files) {
    if (file.path.ends_with(kSafetensorsSuffix)) {
      Result<SafetensorsHeader> header = ReadSafetensorsHeader(*file.file);
      if (!header) return std::move(header.error()).WithContext(file.file->path());
      file.header = std::move(*header);
    } else if (file.path.ends_with(kGgufSuffix)) {
      Result<GgufHeader> header = ReadGgufHeader(*file.file);
      if (header) {
        file.gguf = std::move(*header);
        continue;
      }
      Error error = std::move(header.error()).WithContext(file.file->path());
      const bool is_unreadable = error.code != ErrorCode::kCorrupt && error.code != ErrorCode::kUnsupported;
      if (is_alone || is_unreadable) return error;
      checkpoint.warnings.push_back(error.message + "; packed like any other file");
    }
  }
  return checkpoint;
}

}  // namespace entrofs::packer::source
