// FUSE itself shows the files: the kernel asks for what it does not have in its page cache.

#include "fs/engine.h"
#include "fs/serve.h"

namespace entrofs::fs {

Status ServeFuse(const ServedArchive& archive, const Announce& announce) {
  const MountOptions& options = archive.options;
  ArchiveTree tree(archive, "fuse", options.mount_point);
  return ServeTree(tree, FuseMountAt(tree.folder(), options), options.threads, [&](const FuseSession&) -> Status {
    ENTROFS_RETURN_IF_ERROR(Greet(tree.folder(), options.read_ahead_kb.value_or(kFuseReadAheadKb)));
    announce();
    return OkStatus();
  });
}

}  // namespace entrofs::fs
