#include "base/thread_pool.h"
#include "packer/analyze/analysis_report.h"
#include "packer/cli/command.h"
#include "packer/source/checkpoint.h"

namespace entrofs::packer::cli {
namespace {

struct AnalyzeOptions {
  std::string source;
  analyze::TrialOptions trials;
  std::string calibration;
  std::string html;
  bool json = false;
  size_t threads = 0;
};

constexpr const char* kFooter =
    "SRC is a directory or one .safetensors file. Every scheme that create offers is tried on the weights of linear\n"
    "layers: the sizes are those of the archives it would write. Rates from 1 to 5 bits are shown with --trellis too,\n"
    "foretold from samples of large matrices, as rounding takes long. A file without such weights, of recorded\n"
    "activations for example, is analyzed whole. Nothing is written but the page asked for.\n\n"
    "examples:\n"
    "  entro-pack analyze ./model\n"
    "  entro-pack analyze ./model --html report.html\n"
    "  entro-pack analyze ./model --json | jq '.schemes[] | {name, bits_per_weight, sqnr_db}'\n"
    "  entro-pack analyze activations.safetensors --rate 3 --rate 6\n";

void Describe(CLI::App& app, AnalyzeOptions& options) {
  app.add_option("SRC", options.source, "Checkpoint directory or .safetensors file")->required();
  app.add_option("--html", options.html, "Write a page with curves, histograms and a sortable table to this file")
      ->type_name("FILE");
  app.add_flag("--json", options.json, "Print everything as JSON instead of tables");
  app.add_option("--rate", options.trials.rates,
                 "Bits per weight to try create's --bits-per-weight with, plain and on a trellis (may be\n"
                 "repeated; default: 2, 2.5, 3, 3.5, 4, 4.5)")
      ->type_name("BITS")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->check(CLI::Range(0.5, 8.0));
  app.add_option("--calibration", options.calibration,
                 "What scripts/calibrate found out about the inputs of linear layers (.safetensors): adds int8 per\n"
                 "tensor after SmoothQuant's rescaling and, for every scheme, the error of the outputs; rates are\n"
                 "tried as create tries them with it")
      ->type_name("FILE");
  app.add_option("--include", options.trials.include, "Count tensors of this name too (* and ? match; may be repeated)")
      ->type_name("PATTERN")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--exclude", options.trials.exclude, "Leave out tensors of this name (wins over --include)")
      ->type_name("PATTERN")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  AddThreadsOption(app, options.threads);
  app.footer(kFooter);
}

Status RunAnalysis(const AnalyzeOptions& options, const Streams& streams) {
  analyze::TrialOptions trials = options.trials;
  if (!options.calibration.empty()) {
    ENTROFS_ASSIGN_OR_RETURN(trials.calibration, quantize::arithmetic::Calibration::Open(options.calibration));
  }
  ENTROFS_ASSIGN_OR_RETURN(source::Checkpoint checkpoint, source::OpenCheckpoint(options.source));
  ThreadPool pool(ThreadCount(options.threads));
  Result<analyze::Analysis> analysis = [&] {
    std::unique_ptr<read::Progress> progress = MakeProgress(streams);
    return analyze::Analyze(checkpoint, trials, pool, *progress);
  }();
  if (!analysis) return std::move(analysis.error());
  PrintWarnings(streams, analysis->warnings);
  if (!options.html.empty()) ENTROFS_RETURN_IF_ERROR(WriteTextFile(options.html, analyze::AnalysisPage(*analysis)));
  if (options.json) {
    streams.out << analyze::AnalysisJson(*analysis) << "\n";
  } else {
    analyze::PrintAnalysis(*analysis, streams.out);
  }
  return OkStatus();
}

}  // namespace

int RunAnalyze(const std::vector<std::string>& args, const Streams& streams) {
  CLI::App app("Shows what every scheme would make of a checkpoint: its size and its error, per tensor and in all.",
               "entro-pack analyze");
  AnalyzeOptions options;
  Describe(app, options);
  if (std::optional<int> code = ParseArguments(app, args, streams)) return *code;
  Status status = RunAnalysis(options, streams);
  return status ? kOk : Fail(streams, status.error());
}

}  // namespace entrofs::packer::cli
