#include "packer/read/verify.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "base/hash.h"
#include "packer/read/stream_file.h"
#include "packer/source/checkpoint.h"
#include "view/view_reader.h"

namespace entrofs::packer::read {
namespace {

// All views of an archive; the one there is when it has none to choose from.
Result<std::vector<std::unique_ptr<view::ViewReader>>> OpenViews(const archive::ArchiveReader& reader) {
  std::vector<std::string> names = view::ViewNames(reader.index());
  if (names.empty()) names.emplace_back();
  std::vector<std::unique_ptr<view::ViewReader>> views;
  for (const std::string& name : names) {
    ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<view::ViewReader> view, view::ViewReader::Open(reader, name));
    views.push_back(std::move(view));
  }
  return views;
}

Error WrongHash() { return Error{ErrorCode::kCorrupt, "content does not match the hash in the index"}; }

// Problems of one file.
size_t CheckFile(const view::ViewReader& view, const view::File& file, ThreadPool& pool, Progress& progress,
                 const ProblemSink& problem) {
  size_t problems = 0;
  StreamHash128 hash;
  const view::ViewExtent* bad_extent = nullptr;
  // The sink never fails, so neither does the stream.
  (void)StreamFile(view, file, pool, [&](StreamedSegment segment) -> Status {
    progress.Advance(segment.extent.SegmentBytes(segment.segment));
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

// Problems of one file against the file it should equal.
size_t CompareFile(const view::ViewReader& view, const view::File& file, const source::SourceFile& source,
                   ThreadPool& pool, Progress& progress, const ProblemSink& problem) {
  if (file.size_bytes != source.size()) {
    problem(file.path + ": has " + std::to_string(file.size_bytes) + " bytes, the source has " +
            std::to_string(source.size()));
    return 1;
  }
  Buffer expected;
  StreamHash128 hash;
  Status status = StreamFile(view, file, pool, [&](StreamedSegment segment) -> Status {
    if (!segment.bytes) return segment.bytes.error();
    ByteSpan bytes = *segment.bytes;
    progress.Advance(bytes.size());
    hash.Update(bytes);
    expected.Reserve(bytes.size());
    ENTROFS_RETURN_IF_ERROR(source.ReadAt(segment.offset, expected.span()));
    const size_t at = FirstDifference(bytes, expected.span());
    if (at == bytes.size()) return OkStatus();
    return Error{ErrorCode::kCorrupt, "differs from the source at byte " + std::to_string(segment.offset + at) + " (" +
                                          segment.extent.name() + ")"};
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
  size_t problems = 0;
  auto tell = [&](const std::string& text) {
    ++problems;
    problem(text);
  };
  Result<std::vector<std::unique_ptr<view::ViewReader>>> views = OpenViews(reader);
  if (!views) {
    tell(views.error().message);
    return problems;
  }
  uint64_t total = 0;
  for (const auto& view : *views) total += view->size_bytes();
  progress.Start("verifying", total);
  for (const auto& view : *views) {
    const std::string prefix = view->name().empty() ? "" : "[" + view->name() + "] ";
    auto tell_of_view = [&](const std::string& text) { problem(prefix + text); };
    for (const view::File& file : view->files()) problems += CheckFile(*view, file, pool, progress, tell_of_view);
  }
  if (Result<std::string> report = reader.ReadReport(); !report) tell(report.error().message);
  return problems;
}

Result<size_t> FindDifferences(const archive::ArchiveReader& reader, const std::string& source, ThreadPool& pool,
                               Progress& progress, const ProblemSink& problem) {
  ENTROFS_ASSIGN_OR_RETURN(source::Checkpoint checkpoint, source::ListCheckpoint(source));
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<view::ViewReader> view, view::ViewReader::Open(reader, ""));
  progress.Start("comparing", view->size_bytes());
  size_t problems = 0;
  auto tell = [&](const std::string& text) {
    ++problems;
    problem(text);
  };
  const std::vector<view::File>& shown_files = view->files();
  auto shown = shown_files.begin();
  for (const source::CheckpointFile& file : checkpoint.files) {
    for (; shown != shown_files.end() && shown->path < file.path; ++shown) {
      tell(shown->path + ": is not in the source");
    }
    if (shown == shown_files.end() || shown->path != file.path) {
      tell(file.path + ": is not in the archive");
    } else {
      problems += CompareFile(*view, *shown++, *file.file, pool, progress, problem);
    }
  }
  for (; shown != shown_files.end(); ++shown) tell(shown->path + ": is not in the source");
  if (view->directories() != checkpoint.directories) tell("empty directories differ");
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
