#include "tests/support/sample_archive.h"

#include <cstdio>
#include <cstdlib>

#include "tests/support/memory_file.h"

namespace entrofs::testing_support {
namespace {

// Splitmix64: the same numbers with every standard library.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

 private:
  uint64_t state_;
};

// Splits the bytes of `extent` into planes, builds what encodes them and adds their tables to the archive.
void PlanPlanes(const SampleExtent& extent, archive::ArchiveWriter& writer,
                archive::ArchiveWriter::ExtentOptions& options) {
  std::vector<codec::Histogram> histograms(extent.layout.plane_count());
  codec::CountPlanes(extent.layout, extent.plain, histograms);
  for (const codec::Histogram& histogram : histograms) {
    codec::PlaneEncoder plane{.kind = extent.kind, .table = nullptr};
    uint32_t number = archive::kNoTable;
    if (extent.kind == codec::CodecKind::kTans || extent.kind == codec::CodecKind::kHuffman) {
      plane.table = codec::BuildTable(extent.kind, histogram);
      number = writer.AddTable(extent.kind, codec::SerializedTable(*plane.table));
    }
    options.planes.push_back(plane);
    options.tables.push_back(number);
  }
}

archive::ArchiveWriter::Source SourceOf(const Bytes& plain) {
  return [&plain](uint64_t offset, MutableByteSpan out) -> Status {
    std::memcpy(out.data(), plain.data() + offset, out.size());
    return OkStatus();
  };
}

archive::ArchiveWriter::ExtentOptions OptionsOf(const SampleExtent& extent, archive::ArchiveWriter& writer) {
  archive::ArchiveWriter::ExtentOptions options;
  options.name = extent.name;
  options.plain_bytes = extent.plain.size();
  options.segment_bytes = extent.segment_bytes;
  options.layout = extent.layout;
  PlanPlanes(extent, writer, options);
  return options;
}

Result<archive::Extent> WriteExtent(const SampleExtent& extent, archive::ArchiveWriter& writer,
                                    const std::map<std::string, archive::Extent>& written) {
  if (!extent.same_as.empty()) {
    const archive::Extent& original = written.at(extent.same_as);
    ENTROFS_RETURN_IF_ERROR(writer.AddSharedExtent(original, extent.name, SourceOf(extent.plain)));
    return original;
  }
  return writer.AddExtent(OptionsOf(extent, writer), SourceOf(extent.plain));
}

// Extents of the pool, derived extents and views.
Status WriteViews(const Sample& sample, archive::ArchiveWriter& writer,
                  const std::map<std::string, archive::Extent>& written) {
  std::map<std::string, uint32_t> handles;
  for (const auto& [name, extent] : written) {
    if (extent.plain_bytes == 0) continue;
    ENTROFS_ASSIGN_OR_RETURN(handles[name], writer.HandleOf(extent));
  }
  for (const SampleExtent& extent : sample.pool) {
    ENTROFS_ASSIGN_OR_RETURN(archive::Extent recorded,
                             writer.AddPoolExtent(OptionsOf(extent, writer), SourceOf(extent.plain)));
    ENTROFS_ASSIGN_OR_RETURN(handles[extent.name], writer.HandleOf(recorded));
  }
  const auto handle_of = [&](const std::string& name) { return name.empty() ? archive::kNoExtent : handles.at(name); };
  for (const SampleDerived& derived : sample.derived) {
    archive::DerivedExtent extent = derived.extent;
    extent.input = handle_of(derived.input);
    extent.matrix.codes = handle_of(derived.codes);
    extent.matrix.scales = handle_of(derived.scales);
    extent.matrix.zeros = handle_of(derived.zeros);
    extent.matrix.column_scales = handle_of(derived.column_scales);
    ENTROFS_ASSIGN_OR_RETURN(handles[extent.name], writer.AddDerived(extent));
  }
  for (const SampleView& view : sample.views) {
    ENTROFS_RETURN_IF_ERROR(writer.BeginView(view.name));
    for (const SampleViewFile& file : view.files) {
      ENTROFS_RETURN_IF_ERROR(writer.BeginFile(file.path, file.mode, file.mtime_ns));
      for (const std::string& name : file.extents) {
        const Bytes content = sample.ExtentContent(name);
        ENTROFS_RETURN_IF_ERROR(writer.AddPart(handles.at(name), SourceOf(content)));
      }
      ENTROFS_RETURN_IF_ERROR(writer.EndFile());
    }
    for (const std::string& path : view.directories) ENTROFS_RETURN_IF_ERROR(writer.AddDirectory(path));
    ENTROFS_RETURN_IF_ERROR(writer.EndView());
  }
  return writer.NameTree(sample.tree_name, sample.default_view);
}

}  // namespace

Bytes SampleFile::Content() const {
  Bytes content;
  for (const SampleExtent& extent : extents) content.insert(content.end(), extent.plain.begin(), extent.plain.end());
  return content;
}

Bytes RandomBytes(size_t count, unsigned spread, uint64_t seed) {
  Random random(seed);
  Bytes bytes(count);
  for (uint8_t& byte : bytes) {
    uint64_t bits = random.Next();
    // The sum of two uniform numbers: a triangle, as a stand-in for the bell of real weights.
    uint64_t value = spread >= 256 ? bits : 128 + ((bits & 0xffff) * spread + (bits >> 48) * spread) / 0x20000;
    byte = static_cast<uint8_t>(value);
  }
  return bytes;
}

Bytes RandomBfloats(size_t count, uint64_t seed) {
  Random random(seed);
  Bytes bytes(2 * count);
  for (size_t i = 0; i < count; ++i) {
    uint64_t bits = random.Next();
    // The number of trailing zeros of a random number makes exponents fall off geometrically.
    uint16_t exponent = static_cast<uint16_t>(120 - std::countr_zero(bits | (uint64_t{1} << 40)));
    uint16_t value = static_cast<uint16_t>(((bits >> 63) << 15) | (exponent << 7) | ((bits >> 50) & 0x7f));
    StoreLe(bytes.data() + 2 * i, value);
  }
  return bytes;
}

Sample MixedSample(size_t scale) {
  using codec::CodecKind;
  auto text = [&](std::string_view line) {
    Bytes bytes;
    for (size_t i = 0; i < scale; ++i) bytes.insert(bytes.end(), line.begin(), line.end());
    return bytes;
  };
  Sample sample;
  sample.files.push_back({.path = "empty", .extents = {}});
  sample.files.push_back(
      {.path = "model.safetensors",
       .extents = {{"header", text("{\"a\":1, \"b\": [1, 2, 3, 4, 5, 6, 7]}\n"), {}, CodecKind::kZstd},
                   {"nothing", {}, {}, CodecKind::kStored},
                   {"bytes.tans", RandomBytes(600 * scale, 24, 1), {}, CodecKind::kTans},
                   {"bytes.huffman", RandomBytes(400 * scale, 12, 2), {}, CodecKind::kHuffman},
                   {"bfloats", RandomBfloats(200 * scale, 3), {2, true}, CodecKind::kTans},
                   {"odd", RandomBytes(70 * scale + 3, 9, 4), {4, false}, CodecKind::kHuffman},
                   {"noise", RandomBytes(40 * scale + 1, 256, 5), {8, false}, CodecKind::kStored},
                   {"zeros", Bytes(500 * scale), {2, true}, CodecKind::kConstant}}});
  sample.files.push_back(
      {.path = "sub/copy.safetensors",
       .extents = {
           {"again", RandomBytes(600 * scale, 24, 1), {}, CodecKind::kTans, codec::kMinSegmentBytes, "bytes.tans"},
           {"tail", text("the end\n"), {}, CodecKind::kStored}}});
  sample.directories = {"sub/nothing in here", "sub"};
  sample.report_json = "{\"source\": \"sample\", \"tensors\": []}";
  return sample;
}

Result<uint64_t> Write(const Sample& sample, archive::ArchiveWriter& writer,
                       const archive::ArchiveWriter::Verify& verify) {
  ENTROFS_RETURN_IF_ERROR(writer.Start());
  std::map<std::string, archive::Extent> written;
  for (const SampleFile& file : sample.files) {
    ENTROFS_RETURN_IF_ERROR(writer.BeginFile(file.path, file.mode, file.mtime_ns));
    for (const SampleExtent& extent : file.extents) {
      ENTROFS_ASSIGN_OR_RETURN(archive::Extent recorded, WriteExtent(extent, writer, written));
      written.emplace(extent.name, std::move(recorded));
    }
    ENTROFS_RETURN_IF_ERROR(writer.EndFile());
  }
  for (const std::string& path : sample.directories) ENTROFS_RETURN_IF_ERROR(writer.AddDirectory(path));
  if (!sample.default_view.empty()) ENTROFS_RETURN_IF_ERROR(WriteViews(sample, writer, written));
  return writer.Finish(sample.report_json, verify);
}

Bytes Pack(const Sample& sample, ThreadPool& pool) {
  Bytes bytes;
  archive::ArchiveWriter writer(std::make_unique<MemoryNewFile>(&bytes), pool);
  auto size = Write(sample, writer);
  if (!size || *size != bytes.size()) {
    std::fprintf(stderr, "cannot write the sample: %s\n", size ? "wrong size" : size.error().message.c_str());
    std::abort();
  }
  return bytes;
}

Bytes Pack(const Sample& sample) {
  ThreadPool pool(2);
  return Pack(sample, pool);
}

Result<std::unique_ptr<archive::ArchiveReader>> Open(Bytes bytes) {
  return archive::ArchiveReader::Open(std::make_unique<MemoryFile>(std::move(bytes)), "sample");
}

Result<std::map<std::string, Bytes>> ReadAll(const archive::ArchiveReader& reader) {
  std::map<std::string, Bytes> contents;
  archive::ArchiveReader::ReadScratch scratch;
  for (const archive::VirtualFile& file : reader.index().files) {
    Bytes content;
    for (const archive::Extent& extent : file.extents) {
      for (uint64_t segment = 0; segment < extent.segment_count(); ++segment) {
        Bytes plain(archive::ArchiveReader::SegmentBytes(extent, segment));
        ENTROFS_RETURN_IF_ERROR(reader.ReadSegment(extent, segment, scratch, plain));
        content.insert(content.end(), plain.begin(), plain.end());
      }
    }
    StreamHash128 hash;
    hash.Update(content);
    if (hash.Digest() != file.hash) return Error{ErrorCode::kCorrupt, file.path + ": hash mismatch"};
    contents[file.path] = std::move(content);
  }
  return contents;
}

}  // namespace entrofs::testing_support
