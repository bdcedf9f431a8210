#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "fs/decoded_files.h"
#include "fs/fuse_api.h"
#include "fs/image_file.h"
#include "fs/memory_watch.h"
#include "fs/mount_options.h"
#include "fs/page_filler.h"
#include "fs/resident_file.h"
#include "fs/virtual_fs.h"

namespace entrofs::fs {

// What the FUSE callbacks work on; the session's userdata. Must outlive the session.
struct FuseContext {
  FuseContext(VirtualFs& served_files, MountOptions mount_options)
      : files(served_files), options(std::move(mount_options)) {}

  VirtualFs& files;
  MountOptions options;
  std::string folder;                // where the FUSE mount is: the mount point, or the plain folder of an EROFS mount
  std::optional<uint64_t> mount_id;  // its MountIdAt, once it is mounted
  ImageFile* image = nullptr;        // what EROFS is mounted from; null when FUSE itself shows the files
  uid_t owner = 0;                   // shown as the owner of everything: the archive's
  gid_t group = 0;
  uint32_t mode_mask = 0555;  // shown permissions never exceed this: the archive's own
  // Null when there is none.
  DecodedFiles* decoded = nullptr;  // only while the session lives
  PageFiller* filler = nullptr;
  const MemoryWatch* memory = nullptr;
  const ResidentFile* resident_archive = nullptr;
};

// The permissions of files and folders that whoever may read `archive_mode` may have.
uint32_t ModeMask(uint32_t archive_mode);

// Callbacks for fuse_session_new. Each unpacks its request, makes one call and replies exactly once; exceptions become
// an error reply. A failed read is logged with one line.
const fuse_lowlevel_ops& FuseOperations();

}  // namespace entrofs::fs
