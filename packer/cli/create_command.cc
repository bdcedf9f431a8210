#include <chrono>
#include <filesystem>

#include "base/thread_pool.h"
#include "base/units.h"
#include "packer/cli/command.h"
#include "packer/cli/dry_run.h"
#include "packer/cli/view_choice.h"
#include "packer/pack/pack.h"
#include "packer/quantize/fitted_tree.h"
#include "packer/quantize/quantized_files.h"
#include "packer/quantize/selection/eligibility.h"
#include "packer/report/summary.h"
#include "packer/report/text_table.h"
#include "packer/source/checkpoint.h"
#include "packer/source/file_names.h"

namespace entrofs::packer::cli {
namespace {

struct CreateOptions {
  std::string source;
  std::string output;
  std::string quant = "none";
  std::string view = "auto";
  std::string form;
  uint32_t group_size = 128;
  bool symmetric = false;
  double bits_per_weight = 0;
  std::string size;
  bool trellis = false;
  std::string calibration;
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::string codec = "auto";
  std::string target = "server";
  std::string tables = "tensor";
  std::string segment_size = "256KiB";
  size_t threads = 0;
  bool verify = true;
  bool json = false;
  bool dry_run = false;
  std::string report;
};

constexpr const char* kFooter =
    "SRC is a directory, packed with all that is in it, or one .safetensors or .gguf file. An existing FILE is "
    "replaced when "
    "the\n"
    "new archive is complete; on an error or Ctrl-C nothing is left behind.\n\n"
    "examples:\n"
    "  entro-pack create ./model -o model.entro                        byte for byte, about 2/3 of a BF16 model\n"
    "  entro-pack create ./model -o model.entro --quant uint8          EntroLLM's 8 bits per tensor\n"
    "  entro-pack create ./model -o model.entro --bits-per-weight 3.5  the least error at this size\n"
    "  entro-pack create ./model -o model.entro --quant uint4 --exclude '*.down_proj.weight'\n"
    "  entro-pack create ./model -o model.entro --target edge          for a Raspberry Pi or a Jetson\n"
    "  entro-pack create adapter.safetensors -o adapter.entro --json\n";

void DescribeQuantization(CLI::App& app, CreateOptions& options) {
  CLI::Option* quant =
      app.add_option("--quant", options.quant,
                     "none: lossless. Or how to quantize the weights of linear layers, in the forms of\n"
                     "compressed-tensors: uint8, uint4 (EntroLLM, one scale per tensor), int8-tensor,\n"
                     "int8-channel, uint4-group")
          ->type_name("SCHEME")
          ->check(CLI::IsMember({"none", "uint8", "uint4", "int8-tensor", "int8-channel", "uint4-group"}));
  CLI::Option* rate =
      app.add_option("--bits-per-weight", options.bits_per_weight,
                     "Quantize for this many bits per weight in the archive, one step for all tensors:\n"
                     "the least error for the size")
          ->type_name("BITS")
          ->check(CLI::Range(0.5, 8.0));
  rate->excludes(quant);
  app.add_option("--size", options.size, "The same for an archive of this size in all: 2.1GB, 700MiB")
      ->type_name("SIZE")
      ->excludes(quant)
      ->excludes(rate);
  app.add_flag("--trellis", options.trellis,
               "With --bits-per-weight 1 to 5, or --size: round along a trellis, for 1.25 dB less error at\n"
               "the same size. Packing takes several times as long, decoding 1.2 to 1.3 times");
  app.add_option("--layout", options.form,
                 "Make packed files in this form: compressed-tensors (transformers, vLLM), mlx, or gptq (symmetric\n"
                 "schemes only)")
      ->check(CLI::IsMember({"compressed-tensors", "mlx", "gptq"}));
  app.add_option("--view", options.view,
                 "What files of quantized weights the archive shows. source: the checkpoint's own files, with the\n"
                 "values the codes stand for; they load wherever the checkpoint does. packed: files of codes for\n"
                 "runtimes that compute on them, and source beside. auto: packed for architectures that are known\n"
                 "to load it, else source")
      ->check(CLI::IsMember({"auto", "packed", "source"}));
  app.add_option("--group-size", options.group_size,
                 "Of uint4-group and of --layout mlx: weights that share a scale: 32, 64 or 128")
      ->type_name("N")
      ->check(CLI::IsMember({32, 64, 128}));
  app.add_flag("--symmetric", options.symmetric, "Of uint4-group: zero is always the middle code");
  app.add_option("--calibration", options.calibration,
                 "What scripts/calibrate found out about the inputs of linear layers (.safetensors): with\n"
                 "--bits-per-weight or --size, bits go where outputs need them, and rounding makes up for\n"
                 "its errors; with every scheme, the error of the outputs is shown")
      ->type_name("FILE");
  app.add_option("--include", options.include, "Quantize tensors of this name too (* and ? match; may be repeated)")
      ->type_name("PATTERN")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--exclude", options.exclude, "Do not quantize tensors of this name (wins over --include)")
      ->type_name("PATTERN")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void DescribeCoding(CLI::App& app, CreateOptions& options) {
  app.add_option("--codec", options.codec,
                 "auto: the smallest, see --target; tans, huffman, stored: this one where it gains")
      ->check(CLI::IsMember({"auto", "tans", "huffman", "stored"}));
  app.add_option(
         "--target", options.target,
         "What --codec auto chooses for. server: CPUs with wide vectors, where tans is fastest. edge: Cortex-A\n"
         "and other small cores, where huffman is: it is taken unless it costs more than 3 % of size")
      ->check(CLI::IsMember({"server", "edge"}));
  app.add_option("--tables", options.tables, "One code table per tensor, or one for the whole archive")
      ->check(CLI::IsMember({"tensor", "archive"}));
  app.add_option("--segment-size", options.segment_size,
                 "Plain bytes that are decoded at a time: 64 KiB to 4 MiB, a multiple of 256")
      ->type_name("SIZE");
  AddThreadsOption(app, options.threads);
  app.add_flag("--verify,!--no-verify", options.verify,
               "Read the archive back before it gets its name (default), or do not");
  app.add_flag("--dry-run", options.dry_run,
               "Show for every tensor whether it would be quantized, and why; write nothing");
  app.add_flag("--json", options.json, "Print the summary as JSON, as inspect --json does");
  app.add_option("--report", options.report, "Keep what --json prints in this file")->type_name("FILE");
}

void Describe(CLI::App& app, CreateOptions& options) {
  app.add_option("SRC", options.source, "Checkpoint directory, or .safetensors or .gguf file")->required();
  app.add_option("-o,--output", options.output,
                 "The archive to write (default: SRC's name with .entro, in this folder)")
      ->type_name("FILE");
  DescribeQuantization(app, options);
  DescribeCoding(app, options);
  app.footer(kFooter);
}

Error Usage(const std::string& what) { return Error{ErrorCode::kInvalidArgument, what}; }

Result<uint32_t> ParseSegmentSize(const std::string& text) {
  ENTROFS_ASSIGN_OR_RETURN(uint64_t bytes, ParseBytes(text));
  if (bytes < codec::kMinSegmentBytes || bytes > codec::kMaxSegmentBytes ||
      bytes % codec::kSegmentGranularityBytes != 0) {
    return Usage("--segment-size " + text + ": must be 64 KiB to 4 MiB and a multiple of 256 bytes");
  }
  return static_cast<uint32_t>(bytes);
}

// "./models/llama/", "llama.safetensors" and "models--meta--llama/snapshots/1234" become "llama.entro" here.
std::string DefaultOutput(const std::string& source) {
  std::error_code code;
  std::filesystem::path path = std::filesystem::absolute(source, code).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  // Links keep their own names: what a cache's links lead to is named by its hash.
  if (!std::filesystem::is_directory(path, code)) return path.stem().string() + ".entro";
  if (std::string repository = source::RepositoryOfSnapshot(path.string()); !repository.empty())
    return repository + ".entro";
  return path.filename().string() + ".entro";
}

// An archive inside the directory it packs would be packed the next time.
Status CheckOutputPlace(const CreateOptions& options) {
  namespace stdfs = std::filesystem;
  std::error_code code;
  if (stdfs::is_directory(options.output, code)) return Usage(options.output + ": is a directory");
  const stdfs::path source = stdfs::weakly_canonical(stdfs::absolute(options.source, code), code);
  const stdfs::path output = stdfs::weakly_canonical(stdfs::absolute(options.output, code), code);
  if (source == output) return Usage("-o " + options.output + ": is the source");
  if (!stdfs::is_directory(source, code)) return OkStatus();
  const stdfs::path relative = output.lexically_relative(source);
  if (!relative.empty() && *relative.begin() != "..") return Usage("-o " + options.output + ": is inside the source");
  return OkStatus();
}

std::string SchemeName(const CreateOptions& options) {
  return options.bits_per_weight > 0 || !options.size.empty() ? "rate" : options.quant;
}

// Options that only mean something when weights are quantized.
Status CheckQuantization(const CreateOptions& options) {
  if (options.trellis && SchemeName(options) != "rate") {
    return Usage("--trellis needs --bits-per-weight or --size");
  }
  if (SchemeName(options) != "none") return OkStatus();
  if (!(options.include.empty() && options.exclude.empty())) {
    return Usage("--include and --exclude choose what to quantize: they need --quant, --bits-per-weight or --size");
  }
  if (options.view != "auto") {
    return Usage("--view is about quantized weights: it needs --quant, --bits-per-weight or --size");
  }
  if (!options.form.empty()) {
    return Usage("--layout is about quantized weights: it needs --quant, --bits-per-weight or --size");
  }
  if (!options.calibration.empty()) {
    return Usage("--calibration is about what to quantize: it needs --quant, --bits-per-weight or --size");
  }
  return OkStatus();
}

// A pattern that no tensor matches is a slip.
Status CheckPatterns(const source::Checkpoint& checkpoint, const CreateOptions& options) {
  auto is_used = [&](const std::string& pattern) {
    for (const source::CheckpointFile& file : checkpoint.files) {
      if (!file.header) continue;
      for (const source::TensorInfo& tensor : file.header->tensors) {
        if (quantize::selection::MatchesPattern(tensor.name, pattern)) return true;
      }
    }
    return false;
  };
  for (const std::string& pattern : options.include) {
    if (!is_used(pattern)) return Usage("--include " + pattern + ": no tensor has such a name");
  }
  for (const std::string& pattern : options.exclude) {
    if (!is_used(pattern)) return Usage("--exclude " + pattern + ": no tensor has such a name");
  }
  return OkStatus();
}

// What is asked of quantization. `view_note` becomes what the archive shows and why. Requires: a scheme.
Result<quantize::Options> QuantizationOptions(const source::Checkpoint& checkpoint, const CreateOptions& options,
                                              uint32_t segment_bytes, std::string& view_note) {
  quantize::Options quantization;
  quantization.scheme = *quantize::ParseScheme(SchemeName(options));
  ENTROFS_ASSIGN_OR_RETURN(ViewChoice choice, ChooseView(checkpoint, options.view, !options.form.empty()));
  view_note = choice.why;
  quantization.packed_view = choice.is_packed;
  if (!options.form.empty()) quantization.runtime = *quantize::ParseRuntime(options.form);
  quantization.group_size = options.group_size;
  quantization.symmetric = options.symmetric;
  quantization.trellis = options.trellis;
  quantization.segment_bytes = segment_bytes;
  if (options.bits_per_weight > 0) quantization.bits_per_weight = options.bits_per_weight;
  if (!options.size.empty()) {
    ENTROFS_ASSIGN_OR_RETURN(quantization.archive_bytes, ParseBytes(options.size));
  }
  if (!options.calibration.empty()) {
    ENTROFS_ASSIGN_OR_RETURN(quantization.calibration, quantize::arithmetic::Calibration::Open(options.calibration));
  }
  quantization.include = options.include;
  quantization.exclude = options.exclude;
  ENTROFS_RETURN_IF_ERROR(CheckPatterns(checkpoint, options));
  return quantization;
}

Result<tree::OutputTree> BuildTree(const source::Checkpoint& checkpoint, const CreateOptions& options,
                                   const pack::PackOptions& pack, ThreadPool& pool, std::string& view_note) {
  if (!quantize::ParseScheme(SchemeName(options))) return tree::LosslessTree(checkpoint);
  ENTROFS_ASSIGN_OR_RETURN(const quantize::Options quantization,
                           QuantizationOptions(checkpoint, options, pack.segment_bytes, view_note));
  ENTROFS_ASSIGN_OR_RETURN(tree::OutputTree tree, quantize::FittedTree(checkpoint, quantization, pack, pool));
  if (!quantize::HoldsQuantizedTensors(tree)) {
    return Error{ErrorCode::kUnsupported, options.source +
                                              ": holds no weights that could be quantized; pack it without loss, or "
                                              "name tensors with --include"};
  }
  return tree;
}

void PrintResult(const CreateOptions& options, const source::Checkpoint& checkpoint, const tree::OutputTree& tree,
                 const pack::PackResult& result, double seconds, std::ostream& out) {
  const uint64_t source_bytes = checkpoint.size_bytes();
  const double share =
      static_cast<double>(result.archive_bytes) / static_cast<double>(std::max<uint64_t>(1, source_bytes));
  out << options.output << ": " << FormatBytes(source_bytes) << " in " << checkpoint.files.size()
      << (checkpoint.files.size() == 1 ? " file -> " : " files -> ") << FormatBytes(result.archive_bytes) << " ("
      << report::Decimal(100 * share, 1) << " %";
  if (tree.shown_bytes() != source_bytes) out << "; mounted, it shows " << FormatBytes(tree.shown_bytes());
  out << ") in " << report::Decimal(seconds, 1) << " s, " << FormatRate(source_bytes, seconds) << "\n\n";
  report::PrintSummary(result.report, result.archive_bytes, out);
}

// Shows what create would quantize, and writes nothing.
Status DryRun(const CreateOptions& options, const Streams& streams) {
  if (SchemeName(options) == "none") {
    return Usage("--dry-run shows what would be quantized: it needs --quant, --bits-per-weight or --size");
  }
  ENTROFS_ASSIGN_OR_RETURN(const uint32_t segment_bytes, ParseSegmentSize(options.segment_size));
  ENTROFS_RETURN_IF_ERROR(CheckQuantization(options));
  ENTROFS_ASSIGN_OR_RETURN(const source::Checkpoint checkpoint, source::OpenCheckpoint(options.source));
  std::string view_note;
  ENTROFS_ASSIGN_OR_RETURN(const quantize::Options quantization,
                           QuantizationOptions(checkpoint, options, segment_bytes, view_note));
  PrintDecisions(checkpoint, quantization, options.json, streams.out);
  if (!options.json) streams.out << "shows: " << view_note << "\n";
  return OkStatus();
}

Status Create(const CreateOptions& options, const Streams& streams) {
  if (options.dry_run) return DryRun(options, streams);
  pack::PackOptions pack;
  if (options.target == "edge" && options.codec != "auto") {
    return Usage("--target edge: chooses codecs, and --codec " + options.codec + " leaves no choice");
  }
  pack.codec = *pack::ParseCodecChoice(options.target == "edge" ? "auto-edge" : options.codec);
  pack.one_table_per_archive = options.tables == "archive";
  pack.verify = options.verify;
  pack.quant = SchemeName(options);
  ENTROFS_ASSIGN_OR_RETURN(pack.segment_bytes, ParseSegmentSize(options.segment_size));
  ENTROFS_RETURN_IF_ERROR(CheckQuantization(options));
  ENTROFS_RETURN_IF_ERROR(CheckOutputPlace(options));
  const auto start = std::chrono::steady_clock::now();
  ThreadPool pool(ThreadCount(options.threads));
  ENTROFS_ASSIGN_OR_RETURN(source::Checkpoint checkpoint, source::OpenCheckpoint(options.source));
  std::string view_note;
  ENTROFS_ASSIGN_OR_RETURN(tree::OutputTree tree, BuildTree(checkpoint, options, pack, pool, view_note));
  PrintWarnings(streams, tree.warnings);
  PrintWarnings(streams, tree.loading_warnings);
  Result<pack::PackResult> result = [&] {
    std::unique_ptr<read::Progress> progress = MakeProgress(streams);
    return pack::Pack(tree, options.output, pack, pool, *progress);
  }();
  if (!result) return result.error();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const std::string json = report::InspectJson(result->report, tree.shown_bytes(), result->archive_bytes) + "\n";
  if (!options.report.empty()) ENTROFS_RETURN_IF_ERROR(WriteTextFile(options.report, json));
  if (options.json) {
    streams.out << json;
  } else {
    PrintResult(options, checkpoint, tree, *result, seconds, streams.out);
    if (!view_note.empty()) streams.out << "shows: " << view_note << "\n";
  }
  return OkStatus();
}

}  // namespace

int RunCreate(const std::vector<std::string>& args, const Streams& streams) {
  CLI::App app("Packs a checkpoint into an archive that entrofs mounts.", "entro-pack create");
  CreateOptions options;
  Describe(app, options);
  if (std::optional<int> code = ParseArguments(app, args, streams)) return *code;
  if (options.output.empty()) options.output = DefaultOutput(options.source);
  Status status = Create(options, streams);
  return status ? kOk : Fail(streams, status.error());
}

}  // namespace entrofs::packer::cli
