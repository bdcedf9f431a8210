#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "fs/erofs_image.h"
#include "fs/virtual_fs.h"

namespace entrofs::fs {

// The EROFS image as a file of the FUSE mount, which the kernel mounts in turn. Only those who know its name find it.
// Thread-safe.
class ImageFile {
 public:
  static constexpr char kName[] = ".entrofs.erofs";  // in the root folder
  static constexpr InodeNumber kInode = InodeNumber{1} << 62;

  // `files` must outlive this. `on_last_close` is called, perhaps more than once, when nobody has the file open any
  // more after Arm; on the thread of Arm or one that answers requests.
  ImageFile(ErofsImage image, VirtualFs& files, std::function<void()> on_last_close)
      : image_(std::move(image)), files_(files), on_last_close_(std::move(on_last_close)) {}

  uint64_t size_bytes() const { return image_.size_bytes(); }

  // Bytes of the image, and what keeps them alive.
  class Reply {
   public:
    const std::vector<ByteSpan>& parts() const { return parts_; }

   private:
    friend class ImageFile;
    std::vector<ByteSpan> parts_;
    std::vector<ReadReply> owners_;
  };
  // The bytes [offset, offset + length), cut at the end of the image and never short otherwise. Errors as those of
  // VirtualFs::Read. Blocks.
  Result<Reply> Read(uint64_t offset, uint64_t length) const;

  void NoteOpen() { ++handles_; }
  void NoteClose();
  // To be called once the kernel has the image mounted.
  void Arm();

 private:
  const ErofsImage image_;
  VirtualFs& files_;
  const std::function<void()> on_last_close_;
  std::atomic<uint64_t> handles_{0};
  std::atomic<bool> armed_{false};
};

}  // namespace entrofs::fs
