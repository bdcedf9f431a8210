#include "archive/paths.h"
#include "base/hash.h"
#include "base/thread_pool.h"
#include "base/units.h"
#include "packer/cli/command.h"
#include "packer/read/extract.h"
#include "packer/read/verify.h"
#include "packer/report/report.h"
#include "packer/report/summary.h"
#include "packer/report/text_table.h"

namespace entrofs::packer::cli {
namespace {

using archive::ArchiveReader;

uint64_t VirtualBytes(const ArchiveReader& reader) {
  uint64_t total = 0;
  for (const archive::VirtualFile& file : reader.index().files) total += file.size_bytes;
  return total;
}

Status Inspect(const std::string& path, bool json, const Streams& streams) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<ArchiveReader> reader, read::OpenArchive(path));
  ENTROFS_ASSIGN_OR_RETURN(std::string text, reader->ReadReport());
  Result<report::Report> report = report::ParseReport(text);
  if (!report) return std::move(report.error()).WithContext(path);
  const uint64_t virtual_bytes = VirtualBytes(*reader);
  if (json) {
    streams.out << report::InspectJson(*report, virtual_bytes, reader->archive_bytes()) << "\n";
    return OkStatus();
  }
  streams.out << path << ": " << FormatBytes(virtual_bytes) << " in " << reader->index().files.size() << " files, "
              << FormatBytes(reader->archive_bytes()) << " stored; quantization " << archive::Printable(report->quant)
              << ", codec " << archive::Printable(report->codec) << ", tables per "
              << archive::Printable(report->tables) << ", segments of " << report->segment_bytes / 1024 << " KiB\n\n";
  report::PrintTensors(*report, streams.out);
  streams.out << "\n";
  report::PrintSummary(*report, reader->archive_bytes(), streams.out);
  return OkStatus();
}

Status List(const std::string& path, const Streams& streams) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<ArchiveReader> reader, read::OpenArchive(path));
  report::TextTable table(
      {report::TextTable::Align::kRight, report::TextTable::Align::kLeft, report::TextTable::Align::kLeft});
  table.AddRow({"bytes", "XXH3-128", "file"});
  for (const archive::VirtualFile& file : reader->index().files) {
    table.AddRow({std::to_string(file.size_bytes), ToHex(file.hash), archive::Printable(file.path)});
  }
  for (const std::string& directory : reader->index().directories) {
    table.AddRow({"", "", archive::Printable(directory) + "/"});
  }
  table.Print(streams.out);
  return OkStatus();
}

struct VerifyOptions {
  std::string path;
  std::string source;
  size_t threads = 0;
};

Status Verify(const VerifyOptions& options, const Streams& streams) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<ArchiveReader> reader, read::OpenArchive(options.path));
  std::vector<std::string> problems;
  auto note = [&](const std::string& text) { problems.push_back(text); };
  {
    ThreadPool pool(ThreadCount(options.threads));
    std::unique_ptr<read::Progress> progress = MakeProgress(streams);
    if (options.source.empty()) {
      read::FindProblems(*reader, pool, *progress, note);
    } else {
      ENTROFS_ASSIGN_OR_RETURN(size_t count, read::FindDifferences(*reader, options.source, pool, *progress, note));
      (void)count;
    }
  }
  for (const std::string& problem : problems) Fail(streams, Error{ErrorCode::kCorrupt, problem});
  if (!problems.empty()) {
    return Error{ErrorCode::kCorrupt, options.path + ": " + std::to_string(problems.size()) +
                                          (problems.size() == 1 ? " problem" : " problems")};
  }
  streams.out << options.path << ": " << reader->index().files.size() << " files, "
              << FormatBytes(VirtualBytes(*reader))
              << (options.source.empty() ? ", every byte as it was written" : ", equal to " + options.source) << "\n";
  return OkStatus();
}

int Finish(const Status& status, const Streams& streams) { return status ? kOk : Fail(streams, status.error()); }

void AddArchiveOption(CLI::App& app, std::string& path) { app.add_option("FILE", path, "The archive")->required(); }

}  // namespace

int RunInspect(const std::vector<std::string>& args, const Streams& streams) {
  CLI::App app("Shows what an archive holds: per tensor its codec, size, bits per weight, entropy and error.",
               "entro-pack inspect");
  std::string path;
  bool json = false;
  AddArchiveOption(app, path);
  app.add_flag("--json", json, "For programs");
  app.footer(
      "examples:\n  entro-pack inspect model.entro\n  entro-pack inspect model.entro --json | jq .archive_bytes\n");
  if (std::optional<int> code = ParseArguments(app, args, streams)) return *code;
  return Finish(Inspect(path, json, streams), streams);
}

int RunList(const std::vector<std::string>& args, const Streams& streams) {
  CLI::App app("Lists the files of an archive with their sizes and hashes (as xxh128sum prints them).",
               "entro-pack list");
  std::string path;
  AddArchiveOption(app, path);
  if (std::optional<int> code = ParseArguments(app, args, streams)) return *code;
  return Finish(List(path, streams), streams);
}

int RunVerify(const std::vector<std::string>& args, const Streams& streams) {
  CLI::App app("Reads every byte of an archive and checks all checksums and the hash of each file.",
               "entro-pack verify");
  VerifyOptions options;
  AddArchiveOption(app, options.path);
  app.add_option("--source", options.source, "Compare with this directory or file, byte for byte")->type_name("SRC");
  AddThreadsOption(app, options.threads);
  app.footer("examples:\n  entro-pack verify model.entro\n  entro-pack verify model.entro --source ./model\n");
  if (std::optional<int> code = ParseArguments(app, args, streams)) return *code;
  return Finish(Verify(options, streams), streams);
}

int RunExtract(const std::vector<std::string>& args, const Streams& streams) {
  CLI::App app("Writes an archive's files to a directory, which appears when it is complete.", "entro-pack extract");
  std::string path;
  std::string target;
  size_t threads = 0;
  AddArchiveOption(app, path);
  app.add_option("DIR", target, "Must not exist, or be empty")->required();
  AddThreadsOption(app, threads);
  app.footer("example:\n  entro-pack extract model.entro ./model\n");
  if (std::optional<int> code = ParseArguments(app, args, streams)) return *code;
  auto run = [&]() -> Status {
    ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<ArchiveReader> reader, read::OpenArchive(path));
    ThreadPool pool(ThreadCount(threads));
    std::unique_ptr<read::Progress> progress = MakeProgress(streams);
    return read::Extract(*reader, target, pool, *progress);
  };
  return Finish(run(), streams);
}

}  // namespace entrofs::packer::cli
