#pragma once

#include <functional>
#include <string>

#include "archive/archive_reader.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "packer/read/progress.h"

namespace entrofs::packer::read {

// Is told what is wrong, one line each: "model.safetensors: tensor ...".
using ProblemSink = std::function<void(const std::string& problem)>;

// Opens the archive at `path` for the functions below and for others of packer/.
Result<std::unique_ptr<archive::ArchiveReader>> OpenArchive(const std::string& path);

// Reads every stored byte of the archive, checks its checksums, decodes everything and compares the hash of each file
// of each view with the one in the index. Goes on after a problem; one per extent and view is told. Returns the number
// told. With views, problems begin with the view's name in brackets.
size_t FindProblems(const archive::ArchiveReader& reader, ThreadPool& pool, Progress& progress,
                    const ProblemSink& problem);

// Compares the files of the default view with those below `source` (or with the file `source`) byte for byte: files
// that are on one side only, differing sizes and the first differing byte of each file are problems, as is all that
// FindProblems would tell. An error when `source` cannot be listed.
Result<size_t> FindDifferences(const archive::ArchiveReader& reader, const std::string& source, ThreadPool& pool,
                               Progress& progress, const ProblemSink& problem);

// FindProblems on the archive at `path`; the first problem as an error.
Status VerifyArchive(const std::string& path, ThreadPool& pool, Progress& progress);

}  // namespace entrofs::packer::read
