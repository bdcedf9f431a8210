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
#include "view/view_reader.h"

namespace entrofs::packer::cli {
namespace {

using archive::ArchiveReader;

struct OpenedView {
  std::unique_ptr<ArchiveReader> archive;
  std::unique_ptr<view::ViewReader> view;
};

// The archive at `path` and its view of this name, or its default one.
Result<OpenedView> OpenView(const std::string& path, const std::string& name) {
  OpenedView opened;
  ENTROFS_ASSIGN_OR_RETURN(opened.archive, read::OpenArchive(path));
  Result<std::unique_ptr<view::ViewReader>> view = view::ViewReader::Open(*opened.archive, name);
  if (!view) return std::move(view.error()).WithContext(path);
  opened.view = std::move(*view);
  return opened;
}

// One line for each view: its size, and who loads it.
void PrintViews(const ArchiveReader& reader, std::ostream& out) {
  for (const std::string& name : view::ViewNames(reader.index())) {
    Result<std::unique_ptr<view::ViewReader>> view = view::ViewReader::Open(reader, name);
    if (!view) continue;
    out << "view " << name << ": shows " << FormatBytes((*view)->size_bytes()) << " in " << (*view)->files().size()
        << " files; "
        << (name == "source" ? "loads wherever the checkpoint does" : "for runtimes that compute on codes")
        << (name == reader.index().default_view ? "; the default" : "") << "\n";
  }
}

Status Inspect(const std::string& path, bool json, const Streams& streams) {
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<ArchiveReader> reader, read::OpenArchive(path));
  ENTROFS_ASSIGN_OR_RETURN(std::string text, reader->ReadReport());
  Result<report::Report> report = report::ParseReport(text);
  if (!report) return std::move(report.error()).WithContext(path);
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<view::ViewReader> view, view::ViewReader::Open(*reader, ""));
  const uint64_t virtual_bytes = view->size_bytes();
  if (json) {
    streams.out << report::InspectJson(*report, virtual_bytes, reader->archive_bytes()) << "\n";
    return OkStatus();
  }
  streams.out << path << ": " << FormatBytes(virtual_bytes) << " in " << view->files().size() << " files, "
              << FormatBytes(reader->archive_bytes()) << " stored; quantization " << archive::Printable(report->quant)
              << ", codec " << archive::Printable(report->codec) << ", tables per "
              << archive::Printable(report->tables) << ", segments of " << report->segment_bytes / 1024 << " KiB\n\n";
  report::PrintTensors(*report, streams.out);
  streams.out << "\n";
  report::PrintSummary(*report, reader->archive_bytes(), streams.out);
  PrintViews(*reader, streams.out);
  return OkStatus();
}

Status List(const std::string& path, const std::string& view_name, const Streams& streams) {
  ENTROFS_ASSIGN_OR_RETURN(OpenedView opened, OpenView(path, view_name));
  report::TextTable table(
      {report::TextTable::Align::kRight, report::TextTable::Align::kLeft, report::TextTable::Align::kLeft});
  table.AddRow({"bytes", "XXH3-128", "file"});
  for (const view::File& file : opened.view->files()) {
    table.AddRow({std::to_string(file.size_bytes), ToHex(file.hash), archive::Printable(file.path)});
  }
  for (const std::string& directory : opened.view->directories()) {
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
  ENTROFS_ASSIGN_OR_RETURN(std::unique_ptr<view::ViewReader> view, view::ViewReader::Open(*reader, ""));
  streams.out << options.path << ": " << view->files().size() << " files, " << FormatBytes(view->size_bytes())
              << (options.source.empty() ? ", every byte as it was written" : ", equal to " + options.source) << "\n";
  return OkStatus();
}

int Finish(const Status& status, const Streams& streams) { return status ? kOk : Fail(streams, status.error()); }

void AddArchiveOption(CLI::App& app, std::string& path) { app.add_option("FILE", path, "The archive")->required(); }

void AddViewOption(CLI::App& app, std::string& view) {
  app.add_option("--view", view, "Which of its views (inspect lists them); without it, the default one")
      ->type_name("NAME");
}

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
  std::string view;
  AddArchiveOption(app, path);
  AddViewOption(app, view);
  if (std::optional<int> code = ParseArguments(app, args, streams)) return *code;
  return Finish(List(path, view, streams), streams);
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
  std::string view;
  size_t threads = 0;
  AddArchiveOption(app, path);
  app.add_option("DIR", target, "Must not exist, or be empty")->required();
  AddViewOption(app, view);
  AddThreadsOption(app, threads);
  app.footer(
      "examples:\n  entro-pack extract model.entro ./model\n  entro-pack extract model.entro ./model --view source\n");
  if (std::optional<int> code = ParseArguments(app, args, streams)) return *code;
  auto run = [&]() -> Status {
    ENTROFS_ASSIGN_OR_RETURN(OpenedView opened, OpenView(path, view));
    ThreadPool pool(ThreadCount(threads));
    std::unique_ptr<read::Progress> progress = MakeProgress(streams);
    return read::Extract(*opened.view, target, pool, *progress);
  };
  return Finish(run(), streams);
}

}  // namespace entrofs::packer::cli
