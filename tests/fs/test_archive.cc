#include "tests/fs/test_archive.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <functional>

namespace entrofs::fs {

TestFolder::TestFolder() {
  static std::atomic<int> number{0};
  path_ = std::filesystem::temp_directory_path() /
          ("entrofs-test." + std::to_string(::getpid()) + "." + std::to_string(number++));
  std::filesystem::create_directories(path_);
  std::filesystem::permissions(path_, std::filesystem::perms(0755));
}

TestFolder::~TestFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

SampleExtent Tensor(const std::string& name, size_t plain_bytes, uint32_t segment_bytes, codec::CodecKind kind) {
  return {.name = name,
          .plain = testing_support::RandomBytes(plain_bytes, 64, std::hash<std::string>()(name)),
          .layout = {},
          .kind = kind,
          .segment_bytes = segment_bytes};
}

SampleFile ModelFile(const std::string& path, size_t tensor_count, size_t tensor_bytes, uint32_t segment_bytes) {
  SampleFile file{.path = path, .extents = {}};
  file.extents.push_back(Tensor("header", kModelHeaderBytes, codec::kMinSegmentBytes, codec::CodecKind::kStored));
  for (size_t i = 0; i < tensor_count; ++i) {
    file.extents.push_back(Tensor(path + ":tensor." + std::to_string(i), tensor_bytes + 111 * i + 3, segment_bytes));
  }
  return file;
}

void WriteArchive(const std::filesystem::path& path, const std::vector<SampleFile>& files,
                  const std::vector<std::string>& folders) {
  ThreadPool pool(2);
  auto file = CreateFile(path.string());
  ASSERT_TRUE(file.ok()) << file.error().message;
  archive::ArchiveWriter writer(std::move(*file), pool);
  auto written = testing_support::Write({.files = files, .directories = folders}, writer);
  ASSERT_TRUE(written.ok()) << written.error().message;
}

Bytes RepeatedBytes() {
  Bytes bytes = testing_support::RandomBytes(kRepeatedBytes / 2, 64, 5);
  bytes.resize(kRepeatedBytes, 9);
  return bytes;
}

void WriteRepetitiveArchive(const std::filesystem::path& path, const std::string& file, uint64_t repetitions) {
  ThreadPool pool(2);
  const Bytes bytes = RepeatedBytes();
  auto new_file = CreateFile(path.string());
  ASSERT_TRUE(new_file.ok()) << new_file.error().message;
  archive::ArchiveWriter writer(std::move(*new_file), pool);
  ASSERT_TRUE(writer.Start().ok());
  ASSERT_TRUE(writer.BeginFile(file, 0644, 0).ok());
  std::vector<archive::Extent> written;
  for (uint64_t i = 0; i < 2 * repetitions; ++i) {
    const bool is_constant = i % 2 == 1;
    const auto source = [&](uint64_t offset, MutableByteSpan out) {
      std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(offset + i % 2 * (kRepeatedBytes / 2)), out.size(),
                  out.begin());
      return OkStatus();
    };
    if (i >= 2) {
      ASSERT_TRUE(writer.AddSharedExtent(written[i % 2], "part" + std::to_string(i), source).ok());
      continue;
    }
    const codec::CodecKind kind = is_constant ? codec::CodecKind::kConstant : codec::CodecKind::kZstd;
    auto extent = writer.AddExtent({.name = "part" + std::to_string(i),
                                    .plain_bytes = kRepeatedBytes / 2,
                                    .layout = {},
                                    .planes = {{kind, nullptr}},
                                    .tables = {archive::kNoTable}},
                                   source);
    ASSERT_TRUE(extent.ok()) << extent.error().message;
    written.push_back(*extent);
  }
  ASSERT_TRUE(writer.EndFile().ok());
  ASSERT_TRUE(writer.Finish("{}", nullptr).ok());
}

archive::ArchiveReader::StoredRange FindStored(const std::filesystem::path& archive, const std::string& extent,
                                               uint64_t segment) {
  auto file = OpenForReading(archive.string());
  auto reader = archive::ArchiveReader::Open(std::move(*file), archive.string());
  for (const archive::VirtualFile& virtual_file : (*reader)->index().files) {
    for (const archive::Extent& candidate : virtual_file.extents) {
      if (candidate.name != extent) continue;
      auto range = (*reader)->FindSegment(candidate, segment);
      EXPECT_TRUE(range.ok());
      return *range;
    }
  }
  ADD_FAILURE() << "no extent " << extent;
  return {};
}

void FlipBit(const std::filesystem::path& path, uint64_t offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  char byte = static_cast<char>(file.get());
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(static_cast<char>(byte ^ 4));
}

}  // namespace entrofs::fs
