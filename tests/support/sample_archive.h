#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "archive/archive_reader.h"
#include "archive/archive_writer.h"
#include "base/thread_pool.h"

// Small archives and their contents, for tests.
namespace entrofs::testing_support {

using Bytes = std::vector<uint8_t>;

// One extent to write.
struct SampleExtent {
  std::string name;
  Bytes plain;
  codec::Layout layout = {};
  // Of every plane; a table fitted to the plane is built where the kind has one.
  codec::CodecKind kind = codec::CodecKind::kStored;
  uint32_t segment_bytes = codec::kMinSegmentBytes;
  // Writes the extent as one that shares the bytes of an earlier extent of this name.
  std::string same_as = {};
};

struct SampleFile {
  std::string path;
  std::vector<SampleExtent> extents;
  uint32_t mode = 0644;
  int64_t mtime_ns = 1'700'000'000'123'456'789;

  Bytes Content() const;
};

// An extent to compute. Its inputs are named here; those of `extent` are not looked at.
struct SampleDerived {
  archive::DerivedExtent extent;
  std::string input = {}, codes = {}, scales = {}, zeros = {}, column_scales = {};
};

struct SampleViewFile {
  std::string path;
  std::vector<std::string> extents;  // names of stored and derived extents
  uint32_t mode = 0644;
  int64_t mtime_ns = 1'700'000'000'123'456'789;
};

struct SampleView {
  std::string name;
  std::vector<SampleViewFile> files;
  std::vector<std::string> directories = {};
};

struct Sample {
  std::vector<SampleFile> files;
  std::vector<std::string> directories;
  std::string report_json = "{}";
  // An archive with views, when it has a default one.
  std::string tree_name = {};
  std::string default_view = {};
  std::vector<SampleExtent> pool = {};
  std::vector<SampleDerived> derived = {};
  std::vector<SampleView> views = {};

  // The bytes of the stored or derived extent of that name.
  Bytes ExtentContent(const std::string& name) const;
  Bytes Content(const SampleViewFile& file) const;
};

// Deterministic bytes: `spread` values around 128 (1: constant, 256: noise), likelier near the centre.
Bytes RandomBytes(size_t count, unsigned spread, uint64_t seed);
// BF16 numbers as weights have them, little-endian.
Bytes RandomBfloats(size_t count, uint64_t seed);

// Every layout and codec, an empty file, an empty extent, a shared extent, an empty directory. About 3 KB archived when
// `scale` is 1; the plain sizes grow with it.
Sample MixedSample(size_t scale);

// Views with every function and form of input, and a view of stored extents alone. About 3 KB archived when `scale` is
// 1; numbers of rows grow with it.
Sample ViewsSample(size_t scale);

// Writes the sample with `writer` up to and including Finish.
Result<uint64_t> Write(const Sample& sample, archive::ArchiveWriter& writer,
                       const archive::ArchiveWriter::Verify& verify = nullptr);
// The archive's bytes. Ends the test program on an error.
Bytes Pack(const Sample& sample, ThreadPool& pool);
Bytes Pack(const Sample& sample);

// Opens the bytes as an archive named "sample".
Result<std::unique_ptr<archive::ArchiveReader>> Open(Bytes bytes);

// Path -> content of everything in the archive, each file's hash checked too; the first error otherwise.
Result<std::map<std::string, Bytes>> ReadAll(const archive::ArchiveReader& reader);

}  // namespace entrofs::testing_support
