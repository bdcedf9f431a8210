// Bounded memory: writing anything, opening very large archives, and opening small ones that claim to be large.

#include <gtest/gtest.h>

#include <chrono>

#include "tests/support/craft_archive.h"
#include "tests/support/memory_file.h"
#include "tests/support/resident_memory.h"
#include "tests/support/sample_archive.h"

namespace entrofs {
namespace {

using archive::ArchiveReader;
using archive::Extent;
using archive::Index;
using archive::VirtualFile;
using testing_support::Bytes;
using testing_support::kMeasuresMemory;
using testing_support::PeakMemoryGrowth;

constexpr int64_t kMiB = 1 << 20;

// A file that is zeros but for its beginning and its end.
class SparseFile : public RandomAccessFile {
 public:
  SparseFile(Bytes begin, Bytes end, uint64_t size) : begin_(std::move(begin)), end_(std::move(end)), size_(size) {}

  Status ReadAt(uint64_t offset, MutableByteSpan out) const override {
    for (size_t i = 0; i < out.size(); ++i) out[i] = At(offset + i);
    return OkStatus();
  }
  uint64_t size() const override { return size_; }

 private:
  uint8_t At(uint64_t offset) const {
    if (offset < begin_.size()) return begin_[offset];
    if (offset >= size_ - end_.size()) return end_[offset - (size_ - end_.size())];
    return 0;
  }

  const Bytes begin_;
  const Bytes end_;
  const uint64_t size_;
};

// Index of a checkpoint of `tensors` tensors of `tensor_bytes` BF16 bytes each in files of 1000, stored in two thirds.
Index LargeIndex(size_t tensors, uint64_t tensor_bytes, uint64_t* extents_end) {
  Index index;
  uint64_t position = archive::kHeaderBytes;
  for (size_t i = 0; i < tensors; ++i) {
    if (i % 1000 == 0) {
      char path[64];
      std::snprintf(path, sizeof path, "model-%05zu-of-%05zu.safetensors", i / 1000 + 1, (tensors + 999) / 1000);
      index.files.push_back(VirtualFile{.path = path, .hash = {}, .extents = {}});
    }
    Bytes table = testing_support::RandomBytes(60, 256, i);
    index.tables.push_back({codec::CodecKind::kTans, table});
    Extent extent{.name = "model.layers." + std::to_string(i / 700) + ".mlp.experts." + std::to_string(i % 700) +
                          ".down_proj.weight",
                  .plain_bytes = tensor_bytes,
                  .segment_bytes = codec::kDefaultSegmentBytes,
                  .layout = {2, true},
                  .planes = {{codec::CodecKind::kStored, archive::kNoTable},
                             {codec::CodecKind::kTans, static_cast<uint32_t>(i)}}};
    extent.stored_bytes = tensor_bytes / 3 * 2;
    extent.index_archive_offset = position + extent.stored_bytes - archive::AllIndexPagesBytes(extent.segment_count());
    position += extent.stored_bytes;
    index.files.back().size_bytes += tensor_bytes;
    index.files.back().extents.push_back(std::move(extent));
  }
  *extents_end = position;
  return index;
}

std::unique_ptr<RandomAccessFile> LargeArchive(size_t tensors, uint64_t tensor_bytes) {
  uint64_t extents_end = 0;
  Bytes plain = archive::EncodeIndex(LargeIndex(tensors, tensor_bytes, &extents_end));
  Bytes end = archive::CompressBlock(plain);
  archive::Footer footer;
  footer.report = {extents_end, 0, 0, Hash64({}, extents_end)};
  footer.index = {extents_end, end.size(), plain.size(), Hash64(end, extents_end)};
  footer.archive_bytes = extents_end + end.size() + archive::kFooterBytes;
  auto footer_bytes = archive::EncodeFooter(footer);
  end.insert(end.end(), footer_bytes.begin(), footer_bytes.end());
  auto header = archive::EncodeHeader();
  return std::make_unique<SparseFile>(Bytes(header.begin(), header.end()), std::move(end), footer.archive_bytes);
}

TEST(Memory, ATerabyteOpensInLittle) {
  if (!kMeasuresMemory) GTEST_SKIP() << testing_support::kNeedsPlainBuild;
  std::unique_ptr<RandomAccessFile> file = LargeArchive(100'000, 10'000'000);
  ASSERT_GT(file->size(), uint64_t{600} << 30);
  auto open = [&] {
    auto start = std::chrono::steady_clock::now();
    auto reader = ArchiveReader::Open(std::move(file), "large");
    std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (!reader) std::printf("%s\n", reader.error().message.c_str());
    std::printf("opened in %.3f s\n", seconds.count());
    std::fflush(stdout);
    return reader.ok();
  };
  int64_t growth = PeakMemoryGrowth(open);
  ASSERT_GE(growth, 0);
  std::printf("peak memory +%.1f MiB\n", static_cast<double>(growth) / kMiB);
  EXPECT_LT(growth, 64 * kMiB);
}

// Archives of about a kilobyte whose index unpacks to as much as it may.
TEST(Memory, AHostileKilobyteOpensInLittle) {
  if (!kMeasuresMemory) GTEST_SKIP() << testing_support::kNeedsPlainBuild;
  Index many_empty_files;
  for (int i = 0; i < 7000; ++i) {
    char path[16];
    std::snprintf(path, sizeof path, "%07d", i);
    many_empty_files.files.push_back(VirtualFile{.path = path, .hash = {}, .extents = {}});
  }
  Index many_empty_extents;
  many_empty_extents.files.push_back(VirtualFile{.path = "f", .hash = {}, .extents = {}});
  many_empty_extents.files[0].extents.resize(
      6000, Extent{.name = "", .segment_bytes = codec::kMinSegmentBytes, .layout = {}, .planes = {{}}});
  Index many_folders;
  std::string deep = "d";
  while (deep.size() < archive::kMaxPathBytes - 2) deep += "/d";
  for (int i = 0; i < 60; ++i)
    many_folders.directories.push_back(std::string(1, static_cast<char>('A' + i)) + deep.substr(1));
  std::erase_if(many_folders.directories, [](const std::string& path) { return path[0] == 0x7f; });

  const Bytes empty = testing_support::Pack(testing_support::Sample{});
  for (const Index* index : {&many_empty_files, &many_empty_extents, &many_folders}) {
    Bytes archive = testing_support::WithIndex(empty, *index);
    std::printf("%zu bytes archived\n", archive.size());
    int64_t growth = PeakMemoryGrowth([&] {
      auto reader = testing_support::Open(archive);
      if (!reader) std::printf("%s\n", reader.error().message.c_str());
      return reader.ok();
    });
    std::printf("peak memory +%.1f MiB\n", static_cast<double>(growth) / kMiB);
    ASSERT_GE(growth, 0);
    EXPECT_LT(growth, 16 * kMiB);
  }
}

// Swallows what is written.
class NullFile : public NewFile {
 public:
  Status Append(ByteSpan bytes) override {
    size_ += bytes.size();
    return OkStatus();
  }
  uint64_t size() const override { return size_; }
  Status Commit() override { return OkStatus(); }
  const std::string& temporary_path() const override { return path_; }
  Status Flush() override { return OkStatus(); }

 private:
  uint64_t size_ = 0;
  const std::string path_ = "null";
};

// Writes `plain_bytes` bytes of one extent in segments of `segment_bytes`.
bool WriteExtent(uint64_t plain_bytes, uint32_t segment_bytes, size_t threads) {
  ThreadPool pool(threads);
  archive::ArchiveWriter writer(std::make_unique<NullFile>(), pool);
  archive::ArchiveWriter::ExtentOptions options{.name = "t",
                                                .plain_bytes = plain_bytes,
                                                .segment_bytes = segment_bytes,
                                                .layout = {2, true},
                                                .planes = {codec::PlaneEncoder{}, codec::PlaneEncoder{}},
                                                .tables = {archive::kNoTable, archive::kNoTable}};
  auto source = [](uint64_t offset, MutableByteSpan out) -> Status {
    for (size_t i = 0; i < out.size(); i += 64) out[i] = static_cast<uint8_t>((offset + i) >> 6);
    return OkStatus();
  };
  return writer.Start().ok() && writer.BeginFile("f", 0444, 0).ok() && writer.AddExtent(options, source).ok() &&
         writer.EndFile().ok() && writer.Finish("", nullptr).ok();
}

TEST(Memory, WritingTakesAFewSegmentsPerThread) {
  if (!kMeasuresMemory) GTEST_SKIP() << testing_support::kNeedsPlainBuild;
  for (auto [segment_bytes, threads, limit] :
       {std::tuple<uint32_t, size_t, int64_t>{codec::kDefaultSegmentBytes, 2, 16 * kMiB},
        {codec::kMaxSegmentBytes, 2, 80 * kMiB},
        {codec::kMaxSegmentBytes, 16, 256 * kMiB}}) {
    int64_t growth = PeakMemoryGrowth([&] { return WriteExtent(uint64_t{512} << 20, segment_bytes, threads); });
    ASSERT_GE(growth, 0);
    std::printf("%zu threads, %u KiB segments: peak memory +%.1f MiB\n", threads, segment_bytes >> 10,
                static_cast<double>(growth) / kMiB);
    EXPECT_LT(growth, limit);
  }
}

}  // namespace
}  // namespace entrofs
