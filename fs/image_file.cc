#include "fs/image_file.h"

#include <algorithm>
#include <array>
#include <utility>

namespace entrofs::fs {
namespace {

// Between the files of an image there are never more zeroes.
constexpr std::array<uint8_t, 2 * ErofsImage::kBlockBytes> kZeroes = {};

}  // namespace

Result<ImageFile::Reply> ImageFile::Read(uint64_t offset, uint64_t length) const {
  Reply reply;
  if (offset >= image_.size_bytes()) return reply;
  for (const ErofsImage::Part& part : image_.Cut(offset, std::min(length, image_.size_bytes() - offset))) {
    switch (part.kind) {
      case ErofsImage::Part::Kind::kMetadata:
        reply.parts_.push_back(part.metadata);
        break;
      case ErofsImage::Part::Kind::kZeroes:
        reply.parts_.push_back(ByteSpan(kZeroes).first(part.size_bytes));
        break;
      case ErofsImage::Part::Kind::kFile: {
        ENTROFS_ASSIGN_OR_RETURN(ReadReply file_part, files_.Read(part.inode, part.offset, part.size_bytes, true));
        reply.parts_.insert(reply.parts_.end(), file_part.parts().begin(), file_part.parts().end());
        reply.owners_.push_back(std::move(file_part));
        break;
      }
    }
  }
  return reply;
}

void ImageFile::NoteClose() {
  if (--handles_ == 0 && armed_) on_last_close_();
}

void ImageFile::Arm() {
  armed_ = true;
  if (handles_ == 0) on_last_close_();
}

}  // namespace entrofs::fs
