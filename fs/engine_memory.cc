// Files are decoded into memory when they are opened, and the kernel reads that memory by itself.

#include <unistd.h>

#include <memory>
#include <optional>
#include <utility>

#include "fs/decoded_files.h"
#include "fs/engine.h"
#include "fs/memory_folder.h"
#include "fs/memory_limit.h"
#include "fs/passthrough.h"
#include "fs/serve.h"

namespace entrofs::fs {
namespace {

// Files as DecodedFiles has them. What is not in memory is read as in any ArchiveTree.
class MemoryTree : public ArchiveTree {
 public:
  // `memory` must outlive this.
  MemoryTree(const ServedArchive& archive, const MemoryFolder& memory)
      : ArchiveTree(archive, "memory", archive.options.mount_point), memory_(memory) {}

  void Begin(const Connection& connection) override {
    decoded_.emplace(archive().files.files().size(), MakeActions(connection.fd), DecodedFiles::Options());
  }
  void End() override { decoded_.reset(); }  // answers those who wait

  void Open(InodeNumber inode, OpenAnswer answer, const std::function<bool()>& is_interrupted) override {
    const Node* node = Listing().Find(inode);
    if (node == nullptr || node->is_folder()) return ArchiveTree::Open(inode, std::move(answer), is_interrupted);
    const auto answer_and_close = [this, file = node->file,
                                   answer = std::move(answer)](std::optional<BackingId> backing) {
      if (!answer(backing)) decoded_->Close(file);
    };
    decoded_->Open(node->file, answer_and_close, is_interrupted);
  }
  void DontWait(InodeNumber inode) override { decoded_->DontWait(Listing().Find(inode)->file); }
  void Close(InodeNumber inode) override {
    const Node* node = Listing().Find(inode);
    if (node != nullptr && !node->is_folder()) decoded_->Close(node->file);
  }

 protected:
  MountStatus MakeStatus() const override {
    MountStatus status = ArchiveTree::MakeStatus();
    SetCounter(status, Counter::kDecodedMemoryBytes, decoded_->bytes());
    return status;
  }

 private:
  DecodedFiles::Actions MakeActions(int session_fd) const {
    VirtualFs& files = archive().files;
    DecodedFiles::Actions actions;
    actions.size_of = [&files](size_t file) { return files.files()[file].size_bytes; };
    actions.decode = [&files](size_t file, MutableByteSpan plain, const DecodedFiles::GoesOn& goes_on) {
      return files.DecodeFile(file, plain, goes_on);
    };
    actions.new_memory = [this] { return memory_.NewFile(); };
    actions.add_backing = [session_fd](int fd) { return AddBacking(session_fd, fd); };
    actions.remove_backing = [session_fd](uint32_t backing) { RemoveBacking(session_fd, backing); };
    actions.available_bytes = [] { return AvailableMemoryBytes(); };
    actions.memory_is_short = [this] { return archive().memory.is_short(); };
    return actions;
  }

  const MemoryFolder& memory_;
  std::optional<DecodedFiles> decoded_;  // from Begin to End
};

Status TryPassthrough(int session_fd, const MemoryFolder& memory) {
  ENTROFS_ASSIGN_OR_RETURN(const FileDescriptor file, memory.NewFile());
  ENTROFS_ASSIGN_OR_RETURN(const uint32_t backing, AddBacking(session_fd, file.get()));
  RemoveBacking(session_fd, backing);
  return OkStatus();
}

}  // namespace

Status ServeMemory(const ServedArchive& archive, const Announce& announce) {
  if (::geteuid() != 0) return Error{ErrorCode::kUnsupported, "only root may hand memory to the kernel"};
  const MountOptions& options = archive.options;
  ENTROFS_ASSIGN_OR_RETURN(const MemoryFolder memory, MemoryFolder::Make());
  MemoryTree tree(archive, memory);
  FuseMount mount = FuseMountAt(tree.folder(), options);
  mount.with_passthrough = true;
  return ServeTree(tree, mount, options.threads, [&](const FuseSession& session) -> Status {
    ENTROFS_RETURN_IF_ERROR(Greet(tree.folder(), options.read_ahead_kb.value_or(kFuseReadAheadKb)));
    ENTROFS_RETURN_IF_ERROR(TryPassthrough(session.fd(), memory));
    announce();
    return OkStatus();
  });
}

}  // namespace entrofs::fs
