#include "packer/source/checkpoint.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "archive/paths.h"
#include "packer/source/file_names.h"

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
      ENTROFS_RETURN_IF_ERROR(RefuseHubCache());
      ENTROFS_RETURN_IF_ERROR(ListDirectory(root_, ""));
    } else if (status.type() == stdfs::file_type::regular) {
      ENTROFS_RETURN_IF_ERROR(AddFile(root_, root_.filename().string()));
    } else {
      return Refused(root_, "neither a directory nor a file");
    }
    std::sort(checkpoint_.files.begin(), checkpoint_.files.end(),
              [](const CheckpointFile& a, const CheckpointFile& b) { return a.path < b.path; });
    std::sort(checkpoint_.directories.begin(), checkpoint_.directories.end());
    std::sort(checkpoint_.left_out.begin(), checkpoint_.left_out.end());
    return std::move(checkpoint_);
  }

 private:
  // The cache of a repository holds every file twice, and of every revision.
  Status RefuseHubCache() const {
    std::error_code code;
    for (const char* folder : {"blobs", "refs", "snapshots"}) {
      if (!stdfs::is_directory(root_ / folder, code)) return OkStatus();
    }
    std::string snapshot = "snapshots/REVISION";
    if (stdfs::directory_iterator first(root_ / "snapshots", code); !code && first != stdfs::directory_iterator()) {
      snapshot = "snapshots/" + first->path().filename().string();
    }
    return Error{ErrorCode::kInvalidArgument, root_.string() + ": is a cache of Hugging Face's hub; pack one of its " +
                                                  "snapshots: " + (root_ / snapshot).string()};
  }

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
    if (IsLeavings(path.filename().string())) {
      checkpoint_.left_out.push_back(name);
      return OkStatus();
    }
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

// What stands in the place of a large file in a Git repository until it is fetched.
bool IsLfsPointer(const SourceFile& file) {
  constexpr std::string_view kStart = "version https://git-lfs.github.com/spec/v1\n";
  constexpr uint64_t kMostBytes = 1024;
  std::array<uint8_t, kStart.size()> bytes;
  return file.size() >= kStart.size() && file.size() <= kMostBytes && file.ReadAt(0, bytes) && AsText(bytes) == kStart;
}

// Reads the headers of a checkpoint's files, and collects what to tell the user.
class HeaderReader {
 public:
  HeaderReader(Checkpoint checkpoint, bool is_alone) : checkpoint_(std::move(checkpoint)), is_alone_(is_alone) {}

  Result<Checkpoint> Read() {
    for (CheckpointFile& file : checkpoint_.files) ENTROFS_RETURN_IF_ERROR(ReadOne(file));
    // One bad file beside good ones is carried along; bad ones alone are no model.
    if (broken_ && !has_good_) return std::move(*broken_);
    TellOfNames();
    return std::move(checkpoint_);
  }

 private:
  Status ReadOne(CheckpointFile& file) {
    if (IsLfsPointer(*file.file)) {
      return PackAsPlain(file, Error{ErrorCode::kCorrupt, "is a Git LFS pointer, not the file: run 'git lfs pull'"},
                         HasSuffix(file.path, kSafetensorsSuffix) || HasSuffix(file.path, kGgufSuffix));
    }
    if (HasSuffix(file.path, kSafetensorsSuffix)) {
      Result<SafetensorsHeader> header = ReadSafetensorsHeader(*file.file);
      if (!header) return PackAsPlain(file, std::move(header.error()), true);
      file.header = std::move(*header);
      has_good_ = true;
    } else if (HasSuffix(file.path, kGgufSuffix)) {
      Result<GgufHeader> header = ReadGgufHeader(*file.file);
      if (!header) return PackAsPlain(file, std::move(header.error()), is_alone_);
      file.gguf = std::move(*header);
      has_good_ = true;
    }
    return OkStatus();
  }

  // Nothing but its size depends on a header, so a file without one can be packed like any other. `is_model`: it should
  // have been the model.
  Status PackAsPlain(const CheckpointFile& file, Error error, bool is_model) {
    error = std::move(error).WithContext(file.file->path());
    const bool is_later = error.code == ErrorCode::kUnsupported;  // than what we know
    if (error.code != ErrorCode::kCorrupt && !is_later) return error;
    checkpoint_.warnings.push_back(error.message + "; packed like any other file");
    if (is_model && !is_later && !broken_) broken_ = std::move(error);
    return OkStatus();
  }

  void TellOfNames() {
    std::vector<std::string> paths;
    for (const CheckpointFile& file : checkpoint_.files) paths.push_back(file.path);
    for (std::string& line : MissingParts(paths)) checkpoint_.warnings.push_back(std::move(line));
    if (checkpoint_.left_out.empty()) return;
    std::string line = "left out: ";
    for (const std::string& path : checkpoint_.left_out) line += (line.back() == ' ' ? "" : ", ") + path;
    checkpoint_.warnings.push_back(std::move(line));
  }

  Checkpoint checkpoint_;
  const bool is_alone_;
  std::optional<Error> broken_;
  bool has_good_ = false;
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
  if (is_alone && !HasSuffix(source, kSafetensorsSuffix) && !HasSuffix(source, kGgufSuffix)) {
    return Error{ErrorCode::kInvalidArgument, source + ": is neither a directory nor a .safetensors or .gguf file"};
  }
  return HeaderReader(std::move(checkpoint), is_alone).Read();
}

}  // namespace entrofs::packer::source
