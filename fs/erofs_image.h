#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "fs/file_tree.h"

namespace entrofs::fs {

// An EROFS file system of the files of a tree, as the kernel reads it: a few KiB of metadata, made here, and after them
// the bytes of all files, which exist only as places. docs/mount.md says why it looks as it does.
//
//   superblock | inodes, each followed by the places of its chunks | folders | data
//
// A file is cut into chunks of chunk_bytes. Each begins at a block of its own, its last block is filled up with zeroes,
// and between two chunks of a file one block stays unused: chunks that touched each other would reach us as one large
// read, and when only a part of such a read succeeds, EROFS takes the rest for zeroes. Immutable, so thread-safe.
class ErofsImage {
 public:
  static constexpr uint64_t kBlockBytes = 4096;

  // What the tree does not say.
  struct Attributes {
    uid_t owner = 0;
    gid_t group = 0;
    uint32_t mode_mask = 0555;  // permissions never exceed this
  };

  // `chunk_bytes`: what one read request of the kernel may ask for; a power of two, at least kBlockBytes. kUnsupported
  // when the image would exceed the 16 TiB that EROFS can address. `tree` is not needed afterwards.
  static Result<ErofsImage> Build(const FileTree& tree, const Attributes& attributes, uint64_t chunk_bytes);

  // A multiple of kBlockBytes.
  uint64_t size_bytes() const { return size_bytes_; }

  // What a part of the image holds.
  struct Part {
    enum class Kind { kMetadata, kFile, kZeroes };
    Kind kind = Kind::kZeroes;
    uint64_t size_bytes = 0;
    ByteSpan metadata;      // the bytes, of kMetadata; owned by the image
    InodeNumber inode = 0;  // of kFile, in the tree
    uint64_t offset = 0;    // of kFile, in that file
  };
  // What lies in [offset, offset + length), in order. Requires: within the image.
  std::vector<Part> Cut(uint64_t offset, uint64_t length) const;

 private:
  class Writer;
  struct File {
    uint64_t image_offset;
    uint64_t size_bytes;
    InodeNumber inode;
  };
  ErofsImage() = default;
  Part At(uint64_t offset) const;

  std::vector<uint8_t> metadata_;  // whole blocks
  std::vector<File> files_;        // by image_offset; no empty ones
  uint64_t chunk_bytes_ = 0;
  uint64_t size_bytes_ = 0;
};

}  // namespace entrofs::fs
