#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "fs/mount_table.h"

// Where the FUSE mount is when EROFS shows the files (--engine erofs): below /run/entrofs, under the path of the mount
// point. It holds the image that EROFS reads and the same files once more, for those who want O_DIRECT.
namespace entrofs::fs {

// "/run/entrofs/mnt/llama" for "/mnt/llama" (absolute, without symbolic links).
std::string PlainFolderFor(const std::string& mount_point);

// The plain folder of an EROFS mount of ours; nullopt for other mounts.
std::optional<std::string> PlainFolderOf(const MountEntry& entry);

// Whether the mount shows an archive, with either engine.
bool IsArchiveMount(const MountEntry& entry);

// Makes the folder and those above it. It belongs to root; others may enter as far as they may enter the folders above
// `mount_point`, now.
Status MakePlainFolder(const std::string& mount_point);

// Detaches the FUSE mounts on a plain folder, whose readers may read on as long as somebody serves them. Removes the
// folder and those above it that are empty.
void RemovePlainFolder(const std::string& folder);

}  // namespace entrofs::fs
