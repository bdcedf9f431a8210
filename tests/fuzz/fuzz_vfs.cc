// A damaged archive behind the virtual file system: every read gives the bytes that were packed, or an error.
//
// Input: u8 number of a sample, u8 flags, u8 count of damages, per damage {u32 place, u8 bits to invert}; then reads,
// {u8 file, u24 offset, u16 length}, until the end. Everything is read from end to end besides.

#include <array>
#include <cstdlib>
#include <random>

#include "fs/virtual_fs.h"
#include "tests/fuzz/repair.h"
#include "tests/support/memory_file.h"
#include "tests/support/sample_archive.h"

namespace entrofs::fuzz {
namespace {

using testing_support::Bytes;
using testing_support::Sample;

constexpr size_t kSampleCount = 16;
// Right checksums over damaged bytes: what is read may be anything then.
constexpr uint8_t kRepairFlag = 1;
constexpr uint8_t kTwoThreadsFlag = 2;
constexpr uint8_t kCacheFlag = 4;
constexpr uint8_t kScanFlag = 8;

void Require(bool holds) {
  if (!holds) std::abort();
}

// A checkpoint in small: files of a few tensors of any codec and layout, the last sometimes longer than a segment.
Sample RandomSample(size_t number) {
  std::mt19937_64 random(number);
  Sample sample;
  const size_t files = 1 + random() % 3;
  for (size_t i = 0; i < files; ++i) {
    testing_support::SampleFile file;
    file.path = (random() % 2 ? "folder/" : "") + std::string("f") + std::to_string(i);
    const size_t extents = random() % 5;
    for (size_t j = 0; j < extents; ++j) {
      testing_support::SampleExtent extent;
      extent.name = "t" + std::to_string(j);
      size_t elements = random() % 700;
      if (j == 3) elements = 70'000;
      const std::array<uint8_t, 4> widths = {1, 2, 4, 8};
      extent.layout.element_bytes = widths[random() % 4];
      extent.layout.rotate_sign = extent.layout.element_bytes > 1 && random() % 2;
      extent.layout.delta = !extent.layout.rotate_sign && random() % 3 == 0;
      extent.layout.trellis = extent.layout == codec::Layout{} && random() % 2;
      // Blocks of 18 bytes: a scale in two planes, the weights in a third.
      if (random() % 6 == 0) extent.layout = {.block = {{1, 0}, {1, 1}, {16, 2}}};
      extent.kind = static_cast<codec::CodecKind>(random() % 5);
      if (extent.kind == codec::CodecKind::kConstant) extent.kind = codec::CodecKind::kTans;
      extent.plain = testing_support::RandomBytes(elements, random() % 3 ? 20 : 256, random());
      if (random() % 8 == 0) std::fill(extent.plain.begin(), extent.plain.end(), uint8_t{7});
      file.extents.push_back(std::move(extent));
    }
    sample.files.push_back(std::move(file));
  }
  return sample;
}

struct Packed {
  Bytes archive;
  std::vector<std::string> paths;
  std::vector<Bytes> contents;
};

const Packed& PackedSample(size_t number) {
  static std::array<std::unique_ptr<Packed>, kSampleCount> cache;
  std::unique_ptr<Packed>& packed = cache[number];
  if (packed) return *packed;
  packed = std::make_unique<Packed>();
  const Sample sample = RandomSample(number);
  packed->archive = testing_support::Pack(sample);
  for (const testing_support::SampleFile& file : sample.files) {
    packed->paths.push_back(file.path);
    packed->contents.push_back(file.Content());
  }
  return *packed;
}

// The inode of a path, 0 when it is not there.
fs::InodeNumber Lookup(const fs::FileTree& tree, std::string_view path) {
  fs::InodeNumber inode = fs::kRootInode;
  while (!path.empty()) {
    std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), name.size() + 1));
    const fs::Node* node = tree.FindChild(inode, name);
    if (node == nullptr) return 0;
    inode = node->inode;
  }
  return inode;
}

class Reader {
 public:
  Reader(fs::VirtualFs& files, const Packed& packed, bool bytes_are_known)
      : files_(files), packed_(packed), bytes_are_known_(bytes_are_known) {
    for (const std::string& path : packed.paths) inodes_.push_back(Lookup(files.tree(), path));
  }

  void Read(size_t file, uint64_t offset, size_t length) {
    if (!bytes_are_known_) {
      // Paths may be anything: read whatever inode there is.
      (void)files_.Read(1 + file % files_.tree().size(), offset, length);
      return;
    }
    file %= inodes_.size();
    const Bytes& content = packed_.contents[file];
    auto reply = files_.Read(inodes_[file], offset, length);
    if (!reply) return;
    const uint64_t begin = std::min<uint64_t>(offset, content.size());
    const uint64_t count = std::min<uint64_t>(length, content.size() - begin);
    Require(reply->size() == count);
    auto expected = content.begin() + static_cast<ptrdiff_t>(begin);
    for (ByteSpan part : reply->parts()) {
      Require(std::equal(part.begin(), part.end(), expected));
      expected += static_cast<ptrdiff_t>(part.size());
    }
  }

  void ReadEverything() {
    constexpr size_t kChunkBytes = 48 << 10;
    constexpr uint64_t kMostBytes = 1 << 20;  // a repaired index may promise more than anyone wants to read
    for (size_t file = 0; file < packed_.paths.size(); ++file) {
      const uint64_t end = std::min<uint64_t>(kMostBytes, packed_.contents[file].size() + 1);
      for (uint64_t offset = 0; offset < end; offset += kChunkBytes) Read(file, offset, kChunkBytes);
    }
  }

 private:
  fs::VirtualFs& files_;
  const Packed& packed_;
  const bool bytes_are_known_;
  std::vector<fs::InodeNumber> inodes_;
};

void Run(ByteSpan input) {
  ByteReader in(input);
  const Packed& packed = PackedSample(in.ReadU8() % kSampleCount);
  const uint8_t flags = in.ReadU8();
  Bytes archive = packed.archive;
  bool damaged = false;
  for (size_t count = in.ReadU8(); count > 0 && in.ok(); --count) {
    const size_t at = in.ReadU32() % archive.size();
    const uint8_t bits = in.ReadU8();
    archive[at] ^= bits;
    damaged = damaged || bits != 0;
  }
  const bool repair = (flags & kRepairFlag) != 0;
  if (repair) Repair(archive);
  auto reader = archive::ArchiveReader::Open(std::make_unique<testing_support::MemoryFile>(std::move(archive)), "fuzz");
  Require(damaged || repair || reader.ok());
  if (!reader) return;
  auto files = fs::VirtualFs::Create(
      std::move(*reader),
      {.cache_bytes = (flags & kCacheFlag) != 0 ? size_t{1} << 20 : size_t{0},
       .cache_policy = (flags & kScanFlag) != 0 ? fs::CachePolicyKind::kScan : fs::CachePolicyKind::kLru,
       .threads = (flags & kTwoThreadsFlag) != 0 ? size_t{2} : size_t{1},
       .drop_archive_pages = false});
  if (!files) return;
  Reader virtual_reader(**files, packed, !repair);
  for (int reads = 0; in.remaining() >= 6 && reads < 64; ++reads) {
    const size_t file = in.ReadU8();
    const uint64_t low = in.ReadU16();
    const uint64_t offset = low | static_cast<uint64_t>(in.ReadU8()) << 16;
    virtual_reader.Read(file, offset, in.ReadU16());
  }
  virtual_reader.ReadEverything();
}

}  // namespace
}  // namespace entrofs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  entrofs::fuzz::Run({data, size});
  return 0;
}
