// entro-bench mount

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <sstream>

#include "base/units.h"
#include "bench/cli.h"
#include "bench/mount_report.h"
#include "bench/scratch.h"
#include "codec/codec.h"

namespace entrofs::bench {
namespace {

constexpr uint64_t kMinSizeBytes = 1 << 20;
constexpr uint64_t kMaxSizeBytes = uint64_t{1} << 40;
constexpr size_t kSmallPage = 4 << 10;
constexpr size_t kLargePieces = 1 << 20;

struct MountBenchOptions {
  bool json = false;
  uint64_t size_bytes = 1 << 30;
  uint64_t squashfs_bytes = 256 << 20;
  int rounds = 5;
  bool warm = true;
  std::vector<std::string> tests, systems;  // all, when empty
  std::string folder, checkpoint, entrofs, compare, mount_options;
};

struct SystemInfo {
  const char* name;
  const char* summary;
};
constexpr SystemInfo kSystems[] = {
    {"fuse", "entrofs mount, as root gets it"},
    {"fuse-ra128k", "the same with the kernel's read-ahead of 128 KiB, which is what others get"},
    {"erofs", "entrofs mount --engine erofs"},
    {"memory", "entrofs mount --engine memory: files are decoded when they are opened, which is measured, too"},
    {"compare", "the entrofs of --compare"},
    {"compare-erofs", "the same with --engine erofs"},
    {"squashfs-128k", "squashfs of the kernel, zstd, blocks of 128 KiB"},
    {"squashfs-1m", "the same, blocks of 1 MiB"},
    {"squashfuse", "squashfuse_ll with the first of these images"},
    {"tmpfs", "a plain file in /dev/shm, pages of 4 KiB"},
    {"disk", "a plain file, written in pieces of 4 KiB, so that the page cache holds pages of 4 KiB"},
    {"disk-large", "a plain file, written in pieces of 1 MiB: large pages, where the file system has them"},
};

std::string Footer() {
  std::ostringstream text;
  const auto line = [&](std::string_view name, std::string_view summary) {
    text << "  " << name << std::string(16 - name.size(), ' ') << summary << "\n";
  };
  text << "Tests:\n";
  for (const AccessPattern& pattern : AccessPatterns()) line(pattern.name, pattern.summary);
  text << "\nSystems (what is not there is left out, with a line on stderr):\n";
  for (const SystemInfo& system : kSystems) line(system.name, system.summary);
  text << R"(
How it is measured: a checkpoint in the shape of GPT-Neo, int8 with a scale per row, is
packed with tans. All systems take turns in every test, round after round, and medians
count. Before each turn memory is touched (a virtual machine may have given it back to
its host), then the mount is made anew: "cold" means that nothing of the mounted file is
cached, while the archive or image is. "warm" is the same read for the third time: at the
second the kernel notes that each page is used again, which takes it time. Every reader is
a process of its own. Squashfs holds only the beginning of the checkpoint. CPU time of
kernel threads (squashfs) is not seen.

Examples:
  entro-bench mount --tests read-1m,touch,copy --systems fuse,squashfs-128k
  entro-bench mount --folder /var/tmp/bench --compare old/bin/entrofs   before and after
  entro-bench mount --json > figures.json
)";
  return text.str();
}

Result<uint64_t> ParseSize(const std::string& text, const char* option) {
  auto size = ParseBytes(text);
  if (!size) return std::move(size.error()).WithContext(option);
  if (*size >= kMinSizeBytes && *size <= kMaxSizeBytes) return *size;
  return Error{ErrorCode::kInvalidArgument, std::string(option) + ": must be between " + FormatBytes(kMinSizeBytes) +
                                                " and " + FormatBytes(kMaxSizeBytes)};
}

Status CheckNames(const MountBenchOptions& options) {
  for (const std::string& test : options.tests) {
    if (FindAccessPattern(test) == nullptr) {
      return Error{ErrorCode::kInvalidArgument, "test '" + test + "': unknown; entro-bench mount --help lists them"};
    }
  }
  for (const std::string& wanted : options.systems) {
    if (std::none_of(std::begin(kSystems), std::end(kSystems), [&](const auto& s) { return s.name == wanted; })) {
      return Error{ErrorCode::kInvalidArgument,
                   "system '" + wanted + "': unknown; entro-bench mount --help lists them"};
    }
  }
  return OkStatus();
}

// nullopt when help was printed.
Result<std::optional<MountBenchOptions>> Parse(const std::vector<std::string>& arguments, std::ostream& out) {
  MountBenchOptions options;
  options.checkpoint = DefaultCheckpointPath();
  options.entrofs = DefaultEntrofs();
  std::string size = "1GiB", squashfs_size = "256MiB";
  CLI::App app("Reads a model through entrofs, squashfs and plain files in the ways programs do.", "entro-bench mount");
  app.footer(Footer());
  app.add_flag("--json", options.json, "print a JSON list in place of tables");
  app.add_option("--size", size, "plain bytes of the checkpoint, at least [1GiB]");
  app.add_option("--squashfs-size", squashfs_size, "plain bytes in the squashfs images, at most [256MiB]");
  app.add_option("--rounds", options.rounds, "turns of each system in each test [5]")->check(CLI::Range(1, 1000));
  app.add_option("--tests", options.tests, "only these tests, separated by commas")->delimiter(',');
  app.add_option("--systems", options.systems, "only these systems, separated by commas")->delimiter(',');
  app.add_flag("!--no-warm", options.warm, "leave the warm state of mounts out");
  app.add_option("--folder", options.folder, "keep checkpoint, archive and images here, and use those that are there");
  app.add_option("--checkpoint", options.checkpoint, "BF16 .safetensors file to take weights from");
  app.add_option("--entrofs", options.entrofs, "the program to measure [beside this one]");
  app.add_option("--compare", options.compare, "a second one to measure in the same turns");
  app.add_option("--mount-options", options.mount_options, "-o of both");
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    out << app.help();
    return std::optional<MountBenchOptions>();
  } catch (const CLI::ParseError& error) {
    return Error{ErrorCode::kInvalidArgument, error.what()};
  }
  ENTROFS_ASSIGN_OR_RETURN(options.size_bytes, ParseSize(size, "--size"));
  ENTROFS_ASSIGN_OR_RETURN(options.squashfs_bytes, ParseSize(squashfs_size, "--squashfs-size"));
  ENTROFS_RETURN_IF_ERROR(CheckNames(options));
  return std::optional<MountBenchOptions>(std::move(options));
}

// Makes the servers that were asked for.
class ServerMaker {
 public:
  ServerMaker(const MountBenchOptions& options, const SampleModel& model, std::string folder)
      : options_(options), model_(model), folder_(std::move(folder)) {}

  Result<std::unique_ptr<FileServer>> Make(const std::string& name) {
    const std::string mount_point = folder_ + "/mnt-" + name;
    std::error_code error;
    std::filesystem::create_directory(mount_point, error);
    if (name == "fuse") return Entrofs(mount_point, options_.entrofs, {});
    if (name == "fuse-ra128k") return Entrofs(mount_point, options_.entrofs, {"-o", "read_ahead_kb=128"});
    if (name == "erofs") return Engine(mount_point, options_.entrofs, "erofs");
    if (name == "memory") return Engine(mount_point, options_.entrofs, "memory");
    if (name.starts_with("compare") && options_.compare.empty()) {
      return Error{ErrorCode::kUnsupported, "no --compare"};
    }
    if (name == "compare") return Entrofs(mount_point, options_.compare, {});
    if (name == "compare-erofs") return Engine(mount_point, options_.compare, "erofs");
    if (name == "tmpfs") return MakePlainServer(model_, "/dev/shm", kSmallPage);
    if (name == "disk") return MakePlainServer(model_, folder_, kSmallPage);
    if (name == "disk-large") return MakePlainServer(model_, folder_, kLargePieces);
    return MakeSquashfsServer(model_, {.folder = folder_,
                                       .mount_point = mount_point,
                                       .bytes = options_.squashfs_bytes,
                                       .block_kib = name == "squashfs-1m" ? 1024 : 128,
                                       .fuse = name == "squashfuse"});
  }

 private:
  using Made = Result<std::unique_ptr<FileServer>>;

  Made Entrofs(const std::string& mount_point, const std::string& program, std::vector<std::string> more) {
    if (!options_.mount_options.empty()) more.insert(more.end(), {"-o", options_.mount_options});
    return MakeEntrofsServer(model_, mount_point, {program, std::move(more), true});
  }
  Made Engine(const std::string& mount_point, const std::string& program, const std::string& engine) {
    if (::geteuid() != 0) return Error{ErrorCode::kUnsupported, "only root mounts with engine " + engine};
    if (!KnowsEngine(program, engine)) return Error{ErrorCode::kUnsupported, "this entrofs has no engine " + engine};
    return Entrofs(mount_point, program, {"--engine", engine});
  }

  const MountBenchOptions& options_;
  const SampleModel& model_;
  const std::string folder_;
};

// Serves once and compares all bytes, in a child: reading a mount that dies would end us.
Status VerifyOnce(FileServer& server, const SampleModel& model) {
  ENTROFS_ASSIGN_OR_RETURN(ServedFile served, server.Serve());
  auto same = MeasureInChild(
      [&]() -> Result<Sample> {
        ENTROFS_RETURN_IF_ERROR(CompareFiles(served.file().path, model.plain_path, served.file().bytes));
        return Sample{};
      },
      600);
  if (!same) return std::move(same.error());
  return OkStatus();
}

Result<std::vector<std::unique_ptr<FileServer>>> MakeServers(const MountBenchOptions& options, const SampleModel& model,
                                                             const std::string& folder, std::ostream& err) {
  std::vector<std::unique_ptr<FileServer>> servers;
  ServerMaker maker(options, model, folder);
  for (const SystemInfo& system : kSystems) {
    const bool asked = std::count(options.systems.begin(), options.systems.end(), system.name) > 0;
    if (!options.systems.empty() && !asked) continue;
    ENTROFS_RETURN_IF_ERROR(CheckInterrupted());
    err << "preparing " << system.name << "\n" << std::flush;
    auto server = maker.Make(system.name);
    Status status = server ? OkStatus() : Status(std::move(server.error()));
    if (status) status = VerifyOnce(**server, model);
    if (!status && status.error().code == ErrorCode::kCorrupt) return std::move(status.error());
    if (!status) {
      ENTROFS_RETURN_IF_ERROR(CheckInterrupted());
      if (asked && status.error().code != ErrorCode::kUnsupported) return std::move(status.error());
      err << "entro-bench: " << system.name << " left out: " << status.error().message << "\n";
      continue;
    }
    (*server)->name = std::string(system.name) == "disk" ? FileSystemName(folder) : system.name;
    if (std::string(system.name) == "disk-large") (*server)->name = FileSystemName(folder) + "-large";
    servers.push_back(std::move(*server));
  }
  return servers;
}

Status Run(const MountBenchOptions& options, std::ostream& out, std::ostream& err) {
  ENTROFS_ASSIGN_OR_RETURN(ScratchFolder folder, ScratchFolder::Make(options.folder));
  err << "making the checkpoint and its archive\n" << std::flush;
  ENTROFS_ASSIGN_OR_RETURN(SampleModel model, MakeSampleModel(folder.path(), options.size_bytes, options.checkpoint));
  ENTROFS_ASSIGN_OR_RETURN(auto servers, MakeServers(options, model, folder.path(), err));
  DropFromPageCache(model.plain_path);
  DropFromPageCache(model.archive_path);  // so that read-ahead fills it again, with large pages
  std::vector<const AccessPattern*> patterns;
  for (const AccessPattern& pattern : AccessPatterns()) {
    const bool asked = std::count(options.tests.begin(), options.tests.end(), pattern.name) > 0;
    if (options.tests.empty() || asked) patterns.push_back(&pattern);
  }
  const MountRaceOptions race_options{
      .rounds = options.rounds, .archive_path = model.archive_path, .warm = options.warm};
  ENTROFS_ASSIGN_OR_RETURN(MountRace race, RunMountRace(servers, patterns, race_options, err));
  if (options.json) {
    PrintMountJson(race, out);
  } else {
    out << "Checkpoint: " << FormatBytes(model.plain_bytes) << " of " << (model.real_weights ? "real" : "synthetic")
        << " int8 weights; archive: " << FormatBytes(model.archive_bytes) << "; kernels: " << codec::ActiveKernels()
        << "; rounds: " << options.rounds << "\n";
    PrintMountTables(race, out);
  }
  return OkStatus();
}

}  // namespace

Status RunMountCommand(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  ENTROFS_ASSIGN_OR_RETURN(const std::optional<MountBenchOptions> options, Parse(arguments, out));
  if (!options) return OkStatus();
  CatchInterrupts();
  MakeMountsPrivate();
  return Run(*options, out, err);
}

}  // namespace entrofs::bench
