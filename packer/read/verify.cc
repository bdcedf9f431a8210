#include "packer/read/verify.h"

#include <algorithm>

#include "base/hash.h"
#include "packer/read/stream_file.h"
#include "packer/source/checkpoint.h"

namespace entrofs::packer::read {
namespace {

uint64_t VirtualBytes(const archive::Index& index) {
  uint64_t total = 0;
  for (const archive::VirtualFile& file : index.files) total += file.size_bytes;
  return total;
}

Error WrongHash() { return Error{ErrorCode::kCorrupt, "content does not match the hash in the index"}; }

// Problems of one virtual file.
size_t CheckFile(const archive::ArchiveReader& reader, const archive::VirtualFile& file, ThreadPool& pool,
                 Progress& progress, const ProblemSink& problem) {
  size_t problems = 0;
  StreamHash128 hash;
  const archive::Extent* bad_extent = nullptr;
  // The sink never fails, so neither does the stream.
  (void)StreamFile(reader, file, pool, [&](StreamedSegment segment) -> Status {
    progress.Advance(archive::ArchiveReader::SegmentBytes(segment.extent, segment.segment));
    if (segment.bytes) {
      hash.Update(*segment.bytes);
    } else if (bad_extent != &segment.extent) {
      bad_extent = &segment.extent;
      ++problems;
      problem(file.path + ": " + segment.bytes.error().message);
    }
    return OkStatus();
  });
  if (problems == 0 && hash.Digest() != file.hash) {
    ++problems;
    problem(file.path + ": " + WrongHash().message);
  }
  return problems;
}

// Where two spans of equal size differ first, or their size.
size_t FirstDifference(ByteSpan a, ByteSpan b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin()).first - a.begin());
}

// Problems of one virtual file against the file it should equal.
size_t CompareFile(const archive::ArchiveReader& reader, const archive::VirtualFile& file,
                   const source::SourceFile& source, ThreadPool& pool, Progress& progress, const ProblemSink& problem) {
  if (file.size_bytes != source.size()) {
    problem(file.path + ": has " + std::to_string(file.size_bytes) + " bytes, the source has " +
            std::to_string(source.size()));
    return 1;
  }
  Buffer expected;
  StreamHash128 hash;
  Status status = StreamFile(reader, file, pool, [&](StreamedSegment segment) -> Status {
    if (!segment.bytes) return segment.bytes.error();
    ByteSpan bytes = *segment.bytes;
    progress.Advance(bytes.size());
    hash.Update(bytes);
    expected.Reserve(bytes.size());
    ENTROFS_RETURN_IF_ERROR(source.ReadAt(segment.offset, expected.span()));
    const size_t at = FirstDifference(bytes, expected.span());
    if (at == bytes.size()) return OkStatus();
    return Error{ErrorCode::kCorrupt, "differs from the source at byte " + std::to_string(segment.offset + at) + " (" +
                                          segment.extent.name + ")"};
  });
  if (status && hash.Digest() != file.hash) status = WrongHash();
  if (!status) problem(file.path + ": " + status.error().message);
  return status ? 0 : 1;
}

}  // namespace

Result<std::unique_ptr<archive::ArchiveReader>> OpenArchive(const std::string& path) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, OpenForReading(path));
  return archive::ArchiveReader::Open(std::move(file), path);
}

size_t FindProblems(const archive::ArchiveReader& reader, ThreadPool& pool, Progress& progress,
                    const ProblemSink& problem) {
  progress.Start("verifying", VirtualBytes(reader.index()));
  size_t problems = 0;
  for (const archive::VirtualFile& file : reader.index().files) {
    problems += CheckFile(reader, file, pool, progress, problem);
  }
  if (Result<std::string> report = reader.ReadReport(); !report) {
    ++problems;
    problem(report.error().message);
  }
  return problems;
}

Result<size_t> FindDifferences(const archive::ArchiveReader& reader, const std::string& source, ThreadPool& pool,
                               Progress& progress, const ProblemSink& problem) {
  ENTROFS_ASSIGN_OR_RETURN(source::Checkpoint checkpoint, source::ListCheckpoint(source));
  progress.Start("comparing", VirtualBytes(reader.index()));
  size_t problems = 0;
  auto tell = [&](const std::string& text) {
    ++problems;
    problem(text);
  };
  const archive::Index& index = reader.index();
  auto virtual_file = index.files.begin();
  for (const source::CheckpointFile& file : checkpoint.files) {
    for (; virtual_file != index.files.end() && virtual_file->path < file.path; ++virtual_file) {
      tell(virtual_file->path + ": is not in the source");
    }
    if (virtual_file == index.files.end() || virtual_file->path != file.path) {
      tell(file.path + ": is not in the archive");
    } else {
      problems += CompareFile(reader, *virtual_file++, *file.file, pool, progress, problem);
    }
  }
  for (; virtual_file != index.files.end(); ++virtual_file) tell(virtual_file->path + ": is not in the source");
  if (index.directories != checkpoint.directories) tell("empty directories differ");
  if (Result<std::string> report = reader.ReadReport(); !report) tell(report.error().message);
  return problems;
}

Status VerifyArchive(const std::string& path, ThreadPool& pool, Progress& progress) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<archive::ArchiveReader> reader, OpenArchive(path));
  std::string first;
  if (FindProblems(*reader, pool, progress, [&](const std::string& text) {
        if (first.empty()) first = text;
      }) == 0) {
    return OkStatus();
  }
  return Error{ErrorCode::kCorrupt, "the archive does not read back as written: " + first};
}

}  // namespace entrofs::packer::read
