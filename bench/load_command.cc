// entro-bench load

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/units.h"
#include "bench/cli.h"
#include "bench/file_server.h"
#include "bench/measure.h"
#include "bench/scratch.h"
#include "bench/storage_limit.h"

namespace entrofs::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kTimeoutSeconds = 3600;
constexpr uint64_t kMinSizeBytes = 1 << 20;

struct LoadOptions {
  bool json = false;
  uint64_t size_bytes = 256 << 20;
  int rounds = 3;
  std::vector<std::string> limits = {"100MB", "400MB", "2GB"};
  std::string test = "read-1m";
  std::string folder, checkpoint, entrofs;
};

constexpr char kFooter[] = R"(
A checkpoint in the shape of GPT-Neo, int8 with a scale per row, is read whole from a disk
that a control group limits, once as a plain file and once through a mount of its archive.
Nothing is cached before. The best to hope for is plain bytes / archive bytes.

Examples:
  entro-bench load                                 three limits
  entro-bench load --limits 50MB --test copy       another one, by mmap
)";

struct LoadRow {
  std::string limit;
  double plain_seconds = 0;
  double archive_seconds = 0;
  double speed_up() const { return plain_seconds / archive_seconds; }
};

// nullopt when help was printed.
Result<std::optional<LoadOptions>> Parse(const std::vector<std::string>& arguments, std::ostream& out) {
  LoadOptions options;
  options.checkpoint = DefaultCheckpointPath();
  options.entrofs = DefaultEntrofs();
  std::string size = "256MiB";
  CLI::App app("Loads a model from slow storage, plain and packed.", "entro-bench load");
  app.footer(kFooter);
  app.add_flag("--json", options.json, "print a JSON list in place of a table");
  app.add_option("--size", size, "plain bytes of the checkpoint, at least [256MiB]");
  app.add_option("--rounds", options.rounds, "turns of each [3]")->check(CLI::Range(1, 1000));
  app.add_option("--limits", options.limits, "bytes per second, separated by commas [100MB,400MB,2GB]")->delimiter(',');
  app.add_option("--test", options.test, "how to read: a test of `entro-bench mount` [read-1m]");
  app.add_option("--folder", options.folder, "keep checkpoint and archive here, and use those that are there");
  app.add_option("--checkpoint", options.checkpoint, "BF16 .safetensors file to take weights from");
  app.add_option("--entrofs", options.entrofs, "the program to measure [beside this one]");
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    out << app.help();
    return std::optional<LoadOptions>();
  } catch (const CLI::ParseError& error) {
    return Error{ErrorCode::kInvalidArgument, error.what()};
  }
  ENTROFS_ASSIGN_OR_RETURN(options.size_bytes, ParseBytes(size));
  if (options.size_bytes < kMinSizeBytes) return Error{ErrorCode::kInvalidArgument, "--size: must be at least 1 MiB"};
  if (FindAccessPattern(options.test) == nullptr) {
    return Error{ErrorCode::kInvalidArgument, "test '" + options.test + "': unknown; see entro-bench mount --help"};
  }
  for (const std::string& limit : options.limits) {
    auto bytes = ParseBytes(limit);
    if (!bytes) return std::move(bytes.error());
  }
  return std::optional<LoadOptions>(std::move(options));
}

// From a cold start, mounting included, to the last byte.
Result<double> LoadPlain(const SampleModel& model, const AccessPattern& pattern) {
  DropFromPageCache(model.plain_path);
  const ModelFile file{model.plain_path, model.plain_bytes, model.weights_begin};
  const PretouchedMemory memory(model.plain_bytes * 3 / 2, false);
  ENTROFS_ASSIGN_OR_RETURN(Sample sample, MeasureInChild([&] { return pattern.run(file); }, kTimeoutSeconds));
  return sample.seconds;
}

Result<double> LoadPacked(const SampleModel& model, const AccessPattern& pattern, FileServer& server) {
  DropFromPageCache(model.archive_path);
  const PretouchedMemory memory(model.plain_bytes * 3 / 2, false);
  const double start = NowSeconds();
  ENTROFS_ASSIGN_OR_RETURN(ServedFile served, server.Serve());
  const double mounting = NowSeconds() - start;
  ENTROFS_ASSIGN_OR_RETURN(Sample sample, MeasureInChild([&] { return pattern.run(served.file()); }, kTimeoutSeconds));
  return mounting + sample.seconds;
}

Result<LoadRow> LoadWith(const std::string& limit_text, const LoadOptions& options, const SampleModel& model,
                         FileServer& server) {
  ENTROFS_ASSIGN_OR_RETURN(uint64_t bytes_per_second, ParseBytes(limit_text));
  ENTROFS_ASSIGN_OR_RETURN(StorageLimit limit, StorageLimit::Set(model.plain_path, bytes_per_second));
  const AccessPattern& pattern = *FindAccessPattern(options.test);
  std::vector<double> plain, packed;
  for (int round = 0; round < options.rounds; ++round) {
    ENTROFS_RETURN_IF_ERROR(CheckInterrupted());
    ENTROFS_ASSIGN_OR_RETURN(double plain_seconds, LoadPlain(model, pattern));
    plain.push_back(plain_seconds);
    ENTROFS_ASSIGN_OR_RETURN(double packed_seconds, LoadPacked(model, pattern, server));
    packed.push_back(packed_seconds);
  }
  return LoadRow{limit_text, Median(plain), Median(packed)};
}

void Print(const std::vector<LoadRow>& rows, const LoadOptions& options, const SampleModel& model, std::ostream& out) {
  const double ideal = static_cast<double>(model.plain_bytes) / static_cast<double>(model.archive_bytes);
  Json list = Json::array();
  char line[160];
  if (!options.json) {
    out << "Checkpoint: " << FormatBytes(model.plain_bytes) << ", archive: " << FormatBytes(model.archive_bytes)
        << "; plain bytes / archive bytes: " << std::round(1000 * ideal) / 1000 << "; test: " << options.test << "\n\n"
        << "limit/s     plain s  archive s  speed-up  of the ideal\n";
  }
  for (const LoadRow& row : rows) {
    list.push_back({{"limit_per_s", row.limit},
                    {"test", options.test},
                    {"plain_s", row.plain_seconds},
                    {"archive_s", row.archive_seconds},
                    {"speed_up", row.speed_up()},
                    {"ideal_speed_up", ideal},
                    {"rounds", options.rounds}});
    std::snprintf(line, sizeof line, "%-10s %8.3f %10.3f %9.3f %13.3f\n", row.limit.c_str(), row.plain_seconds,
                  row.archive_seconds, row.speed_up(), row.speed_up() / ideal);
    if (!options.json) out << line;
  }
  if (options.json) out << list.dump(1) << "\n";
}

Status Run(const LoadOptions& options, std::ostream& out, std::ostream& err) {
  ENTROFS_ASSIGN_OR_RETURN(ScratchFolder folder, ScratchFolder::Make(options.folder));
  err << "making the checkpoint and its archive\n" << std::flush;
  ENTROFS_ASSIGN_OR_RETURN(SampleModel model, MakeSampleModel(folder.path(), options.size_bytes, options.checkpoint));
  const std::string mount_point = folder.path() + "/mnt";
  std::error_code error;
  std::filesystem::create_directory(mount_point, error);
  auto server = MakeEntrofsServer(model, mount_point, {options.entrofs, {}, false});
  std::vector<LoadRow> rows;
  for (const std::string& limit : options.limits) {
    err << "loading at " << limit << "/s\n" << std::flush;
    ENTROFS_ASSIGN_OR_RETURN(LoadRow row, LoadWith(limit, options, model, *server));
    rows.push_back(row);
  }
  Print(rows, options, model, out);
  return OkStatus();
}

}  // namespace

Status RunLoadCommand(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  ENTROFS_ASSIGN_OR_RETURN(const std::optional<LoadOptions> options, Parse(arguments, out));
  if (!options) return OkStatus();
  CatchInterrupts();
  MakeMountsPrivate();
  return Run(*options, out, err);
}

}  // namespace entrofs::bench
