#include "fs/erofs_image.h"

#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <string_view>

namespace entrofs::fs {
namespace {

constexpr uint64_t kBlock = ErofsImage::kBlockBytes;

// Linux, fs/erofs/erofs_fs.h. Fields that stay zero are not named.
constexpr uint64_t kSuperOffset = 1024;
constexpr uint64_t kSuperBytes = 128;
constexpr uint32_t kMagic = 0xe0f5e1e2;
constexpr uint32_t kCompatModificationTimes = 0x2;
constexpr uint32_t kIncompatChunkedFiles = 0x4;
constexpr char kVolumeName[] = "entrofs";

// An inode's number is its place in the metadata, in slots.
constexpr uint64_t kInodeSlotBytes = 32;
constexpr uint64_t kInodeBytes = 64;  // the extended form, which has 64-bit sizes and a time of its own
constexpr uint64_t kPlaceBytes = 4;   // of one chunk: the number of its first block
constexpr uint16_t kFormatExtended = 1;
constexpr uint16_t kFormatFlat = 0 << 1;
constexpr uint16_t kFormatChunked = 4 << 1;

constexpr uint64_t kEntryBytes = 12;
constexpr uint8_t kEntryIsFile = 1;
constexpr uint8_t kEntryIsFolder = 2;

// Numbers of blocks have 32 bits, of which the last means "none".
constexpr uint64_t kMaxImageBytes = uint64_t{0xffffffff} * kBlock;

uint64_t RoundUp(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

uint64_t ChunkCount(uint64_t size_bytes, uint64_t chunk_bytes) { return (size_bytes + chunk_bytes - 1) / chunk_bytes; }

// Image bytes that a file takes, blocks between chunks included.
uint64_t FootprintBytes(uint64_t size_bytes, uint64_t chunk_bytes) {
  if (size_bytes == 0) return 0;
  return RoundUp(size_bytes, kBlock) + (ChunkCount(size_bytes, chunk_bytes) - 1) * kBlock;
}

struct Entry {
  std::string_view name;
  InodeNumber inode;
};

// A folder's entries as EROFS wants them: sorted by bytes, "." and ".." in their places.
std::vector<Entry> EntriesOf(const FileTree& tree, const Node& folder) {
  std::vector<Entry> entries = {{".", folder.inode}, {"..", folder.parent}};
  for (InodeNumber child : folder.children) entries.push_back({tree.Find(child)->name, child});
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return entries;
}

// How many of the entries from `first` on fit into one block.
size_t EntriesInBlock(const std::vector<Entry>& entries, size_t first) {
  uint64_t bytes = 0;
  size_t end = first;
  while (end < entries.size() && (bytes += kEntryBytes + entries[end].name.size()) <= kBlock) ++end;
  return end - first;
}

}  // namespace

// Makes the metadata: first the places of everything, then the bytes.
class ErofsImage::Writer {
 public:
  Writer(const FileTree& tree, const Attributes& attributes, uint64_t chunk_bytes)
      : tree_(tree), attributes_(attributes), chunk_bytes_(chunk_bytes), places_(tree.size()) {}

  Result<ErofsImage> Write() {
    ENTROFS_RETURN_IF_ERROR(PlaceAll());
    image_.metadata_.resize(metadata_bytes_);
    image_.chunk_bytes_ = chunk_bytes_;
    WriteSuper();
    for (InodeNumber inode = 1; inode <= tree_.size(); ++inode) {
      const Node& node = *tree_.Find(inode);
      WriteInode(node);
      if (node.is_folder()) {
        WriteFolder(node);
      } else {
        WriteChunks(node);
      }
    }
    return std::move(image_);
  }

 private:
  struct Place {
    uint64_t inode_offset = 0;
    uint64_t data_offset = 0;  // of the folder's entries or the file's bytes
    uint64_t size_bytes = 0;
  };

  Place& PlaceOf(InodeNumber inode) { return places_[inode - 1]; }
  uint64_t NumberOf(InodeNumber inode) { return PlaceOf(inode).inode_offset / kInodeSlotBytes; }
  uint8_t* At(uint64_t offset) { return image_.metadata_.data() + offset; }

  Status PlaceAll() {
    uint64_t end = kSuperOffset + kSuperBytes;
    for (InodeNumber inode = 1; inode <= tree_.size(); ++inode) {
      const Node& node = *tree_.Find(inode);
      PlaceOf(inode).inode_offset = end = RoundUp(end, kInodeSlotBytes);
      end += kInodeBytes;
      if (!node.is_folder()) end += ChunkCount(node.size_bytes, chunk_bytes_) * kPlaceBytes;
      if (end > kMaxImageBytes) return TooLarge();
    }
    end = RoundUp(end, kBlock);
    for (InodeNumber inode = 1; inode <= tree_.size(); ++inode) {
      if (tree_.Find(inode)->is_folder()) end = PlaceFolder(*tree_.Find(inode), end);
    }
    metadata_bytes_ = end;
    for (InodeNumber inode = 1; inode <= tree_.size(); ++inode) {
      if (!tree_.Find(inode)->is_folder()) end = PlaceFile(*tree_.Find(inode), end);
      if (end > kMaxImageBytes) return TooLarge();
    }
    image_.size_bytes_ = end;
    return OkStatus();
  }

  static Error TooLarge() {
    return Error{ErrorCode::kUnsupported, "the archive stands for more than the 16 TiB that EROFS can address"};
  }

  // Both return where the next begins.
  uint64_t PlaceFolder(const Node& node, uint64_t begin) {
    std::vector<Entry> entries = EntriesOf(tree_, node);
    uint64_t last_block = begin;
    uint64_t bytes = 0;
    for (size_t first = 0, count = 0; first < entries.size(); first += count) {
      count = EntriesInBlock(entries, first);
      bytes = 0;
      for (size_t i = first; i < first + count; ++i) bytes += kEntryBytes + entries[i].name.size();
      if (first + count < entries.size()) last_block += kBlock;
    }
    PlaceOf(node.inode).data_offset = begin;
    PlaceOf(node.inode).size_bytes = last_block + bytes - begin;
    return last_block + kBlock;
  }
  uint64_t PlaceFile(const Node& node, uint64_t begin) {
    PlaceOf(node.inode).data_offset = begin;
    PlaceOf(node.inode).size_bytes = node.size_bytes;
    if (node.size_bytes == 0) return begin;
    image_.files_.push_back({begin, node.size_bytes, node.inode});
    // Saturates, so that sizes from strangers cannot wrap around.
    return begin + std::min(FootprintBytes(std::min(node.size_bytes, kMaxImageBytes), chunk_bytes_), kMaxImageBytes);
  }

  void WriteSuper() {
    uint8_t* super = At(kSuperOffset);
    StoreLe<uint32_t>(super, kMagic);
    StoreLe<uint32_t>(super + 8, kCompatModificationTimes);
    StoreLe<uint8_t>(super + 12, std::countr_zero(kBlock));
    StoreLe<uint16_t>(super + 14, static_cast<uint16_t>(NumberOf(kRootInode)));
    StoreLe<uint64_t>(super + 16, tree_.size());
    StoreLe<uint32_t>(super + 36, static_cast<uint32_t>(image_.size_bytes_ / kBlock));
    std::copy(std::begin(kVolumeName), std::end(kVolumeName), super + 64);
    StoreLe<uint32_t>(super + 80, kIncompatChunkedFiles);
  }

  void WriteInode(const Node& node) {
    const Place& place = PlaceOf(node.inode);
    uint8_t* inode = At(place.inode_offset);
    StoreLe<uint16_t>(inode, kFormatExtended | (node.is_folder() ? kFormatFlat : kFormatChunked));
    uint32_t mode = (node.mode & attributes_.mode_mask) | (node.is_folder() ? S_IFDIR : S_IFREG);
    StoreLe<uint16_t>(inode + 4, static_cast<uint16_t>(mode));
    StoreLe<uint64_t>(inode + 8, place.size_bytes);
    // Of a folder its first block, of a file the size of its chunks.
    uint64_t where = node.is_folder() ? place.data_offset / kBlock : std::countr_zero(chunk_bytes_ / kBlock);
    StoreLe<uint32_t>(inode + 16, static_cast<uint32_t>(where));
    StoreLe<uint32_t>(inode + 20, static_cast<uint32_t>(node.inode));
    StoreLe<uint32_t>(inode + 24, attributes_.owner);
    StoreLe<uint32_t>(inode + 28, attributes_.group);
    constexpr int64_t kSecond = 1'000'000'000;
    bool is_before_epoch = node.mtime_ns % kSecond < 0;
    StoreLe<int64_t>(inode + 32, node.mtime_ns / kSecond - is_before_epoch);
    StoreLe<uint32_t>(inode + 40, static_cast<uint32_t>(node.mtime_ns % kSecond + is_before_epoch * kSecond));
    StoreLe<uint32_t>(inode + 44, node.is_folder() ? 2 + node.folder_count : 1);
  }

  void WriteChunks(const Node& node) {
    const Place& place = PlaceOf(node.inode);
    uint64_t count = ChunkCount(node.size_bytes, chunk_bytes_);
    for (uint64_t chunk = 0; chunk < count; ++chunk) {
      uint64_t block = (place.data_offset + chunk * (chunk_bytes_ + kBlock)) / kBlock;
      StoreLe(At(place.inode_offset + kInodeBytes + chunk * kPlaceBytes), static_cast<uint32_t>(block));
    }
  }

  void WriteFolder(const Node& node) {
    std::vector<Entry> entries = EntriesOf(tree_, node);
    uint64_t block = PlaceOf(node.inode).data_offset;
    for (size_t first = 0, count = 0; first < entries.size(); first += count, block += kBlock) {
      count = EntriesInBlock(entries, first);
      uint64_t name_offset = count * kEntryBytes;
      for (size_t i = 0; i < count; ++i) {
        const auto& [name, inode] = entries[first + i];
        uint8_t* entry = At(block + i * kEntryBytes);
        StoreLe<uint64_t>(entry, NumberOf(inode));
        StoreLe<uint16_t>(entry + 8, static_cast<uint16_t>(name_offset));
        StoreLe<uint8_t>(entry + 10, tree_.Find(inode)->is_folder() ? kEntryIsFolder : kEntryIsFile);
        std::copy(name.begin(), name.end(), At(block + name_offset));
        name_offset += name.size();
      }
    }
  }

  const FileTree& tree_;
  const Attributes attributes_;
  const uint64_t chunk_bytes_;
  std::vector<Place> places_;  // by inode - 1
  uint64_t metadata_bytes_ = 0;
  ErofsImage image_;
};

Result<ErofsImage> ErofsImage::Build(const FileTree& tree, const Attributes& attributes, uint64_t chunk_bytes) {
  assert(chunk_bytes >= kBlock && std::has_single_bit(chunk_bytes));
  return Writer(tree, attributes, chunk_bytes).Write();
}

std::vector<ErofsImage::Part> ErofsImage::Cut(uint64_t offset, uint64_t length) const {
  std::vector<Part> parts;
  while (length > 0) {
    Part part = At(offset);
    part.size_bytes = std::min(part.size_bytes, length);
    if (part.kind == Part::Kind::kMetadata) part.metadata = part.metadata.first(part.size_bytes);
    offset += part.size_bytes;
    length -= part.size_bytes;
    parts.push_back(part);
  }
  return parts;
}

// The rest, from `offset` on, of whatever lies there.
ErofsImage::Part ErofsImage::At(uint64_t offset) const {
  if (offset < metadata_.size()) {
    ByteSpan rest = ByteSpan(metadata_).subspan(offset);
    return {Part::Kind::kMetadata, rest.size(), rest, 0, 0};
  }
  auto next = std::upper_bound(files_.begin(), files_.end(), offset,
                               [](uint64_t at, const File& file) { return at < file.image_offset; });
  uint64_t end = next == files_.end() ? size_bytes_ : next->image_offset;
  const File& file = *(next - 1);  // data begins with a file
  uint64_t chunk = (offset - file.image_offset) / (chunk_bytes_ + kBlock);
  uint64_t within = (offset - file.image_offset) % (chunk_bytes_ + kBlock);
  uint64_t chunk_size = std::min(chunk_bytes_, file.size_bytes - chunk * chunk_bytes_);
  if (within < chunk_size) {
    return {Part::Kind::kFile, chunk_size - within, {}, file.inode, chunk * chunk_bytes_ + within};
  }
  uint64_t next_chunk = file.image_offset + (chunk + 1) * (chunk_bytes_ + kBlock);
  return {Part::Kind::kZeroes, std::min(next_chunk, end) - offset, {}, 0, 0};
}

}  // namespace entrofs::fs
