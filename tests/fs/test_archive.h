#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "archive/archive_reader.h"
#include "tests/support/sample_archive.h"

// Archives on disk made for one test, and damage to them.
namespace entrofs::fs {

using testing_support::Bytes;
using testing_support::SampleExtent;
using testing_support::SampleFile;

// A folder that everybody may enter and that disappears with its content.
class TestFolder {
 public:
  TestFolder();
  ~TestFolder();
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// An extent of bytes that look like quantized weights, coded as `kind`: by default the one that sanitizers slow least.
SampleExtent Tensor(const std::string& name, size_t plain_bytes, uint32_t segment_bytes = codec::kMinSegmentBytes,
                    codec::CodecKind kind = codec::CodecKind::kZstd);

// A file like a safetensors file: a header of kHeaderBytes bytes, so that nothing after it is aligned, and tensors
// "PATH:tensor.0" and so on of odd sizes around `tensor_bytes`.
inline constexpr size_t kModelHeaderBytes = 1237;
SampleFile ModelFile(const std::string& path, size_t tensor_count, size_t tensor_bytes,
                     uint32_t segment_bytes = codec::kMinSegmentBytes);

// Writes the files, and these empty folders, as an archive. Fails the running test when it cannot.
void WriteArchive(const std::filesystem::path& path, const std::vector<SampleFile>& files,
                  const std::vector<std::string>& folders = {});

// A file of any size whose archive stays small: the same kRepeatedBytes again and again, half of them coded numbers,
// half of them equal.
inline constexpr size_t kRepeatedBytes = 8 << 20;
void WriteRepetitiveArchive(const std::filesystem::path& path, const std::string& file, uint64_t repetitions);
// The repeated bytes.
Bytes RepeatedBytes();

// Where the stored bytes of a segment lie in an archive written before.
archive::ArchiveReader::StoredRange FindStored(const std::filesystem::path& archive, const std::string& extent,
                                               uint64_t segment);

// Inverts one bit of a file.
void FlipBit(const std::filesystem::path& path, uint64_t offset);

}  // namespace entrofs::fs
