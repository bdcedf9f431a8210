// entro-bench codec

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "base/units.h"
#include "bench/cli.h"
#include "bench/codec_report.h"
#include "bench/race.h"

namespace entrofs::bench {
namespace {

constexpr int kMaxRepeats = 1000;
constexpr uint64_t kMinSizeBytes = 64 << 10;
constexpr uint64_t kMaxSizeBytes = 1 << 30;

struct CodecOptions {
  bool json = false;
  std::vector<std::string> inputs;  // all, when empty
  std::string checkpoint;
  size_t size_bytes = 16 << 20;
  RaceOptions race;
};

std::string DefaultCheckpoint() {
  const char* data = std::getenv("ENTROFS_DATA");
  const std::string folder = data != nullptr ? data : ENTROFS_SOURCE_DIR "/../shared/data";
  return folder + "/gpt-neo-125m-attn/model.safetensors";
}

std::string Footer() {
  std::ostringstream text;
  text << "Inputs:\n";
  for (const InputKind& kind : InputKinds()) {
    text << "  " << kind.name << std::string(20 - kind.name.size(), ' ') << kind.summary << "\n";
  }
  text << R"(
How it is measured: every contender codes the input in segments of its own and must give
back the same bytes, or the run fails. Then they take turns in one process, pinned, and
the median of the repeats counts. Rates are plain bytes over CPU time, so what else runs
on the machine matters less, but caches and clock are shared: compare figures of one run,
above all the ratios, and close other programs.
  hot      into one segment buffer that stays in the cache: feeding a copy or a product
  DRAM     into memory larger than the last-level cache
  cycles   from the core's clock, which a chain of additions shows during the race
  huff0    zstd's Huffman stage alone, one table for the whole input, the better of its
           decoders with one (x1) and two symbols per lookup (x2)
  encode   histogram, table and segments, one core
Peers that were not there when this program was built are left out (docs/benchmarks.md names them).

Examples:
  entro-bench codec --inputs int8-row,bf16-tensor    two inputs, in seconds
  entro-bench codec --json > figures.json            everything, for a program
  entro-bench codec --codecs huffman --repeats 21    one codec, closer
)";
  return text.str();
}

Result<size_t> ParseSize(const std::string& text, const char* option, uint64_t least, uint64_t most) {
  auto size = ParseBytes(text);
  if (!size) return std::move(size.error()).WithContext(option);
  if (*size < least || *size > most) {
    return Error{ErrorCode::kInvalidArgument,
                 std::string(option) + ": must be between " + FormatBytes(least) + " and " + FormatBytes(most)};
  }
  return static_cast<size_t>(*size);
}

// nullopt when help was printed.
Result<std::optional<CodecOptions>> Parse(const std::vector<std::string>& arguments, std::ostream& out) {
  CodecOptions options;
  options.checkpoint = DefaultCheckpoint();
  std::string size = "16MiB", segment_size = "256KiB";
  CLI::App app("Races entrofs' codecs against memcpy, zstd -1, Huffman and rANS on kinds of weights.",
               "entro-bench codec");
  app.footer(Footer());
  app.add_flag("--json", options.json, "print a JSON list in place of tables");
  app.add_option("--inputs", options.inputs, "only these inputs, separated by commas")->delimiter(',');
  app.add_option("--codecs", options.race.codecs, "only these codecs, and the peers of the ratios")->delimiter(',');
  app.add_option("--size", size, "plain bytes of each input [16MiB]");
  app.add_option("--segment-size", segment_size, "plain bytes coded together [256KiB]");
  app.add_option("--repeats", options.race.repeats, "turns of each contender [7]")->check(CLI::Range(1, kMaxRepeats));
  app.add_option("--checkpoint", options.checkpoint, "BF16 .safetensors file for the real inputs");
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    out << app.help();
    return std::optional<CodecOptions>();
  } catch (const CLI::ParseError& error) {
    return Error{ErrorCode::kInvalidArgument, error.what()};
  }
  ENTROFS_ASSIGN_OR_RETURN(options.size_bytes, ParseSize(size, "--size", kMinSizeBytes, kMaxSizeBytes));
  ENTROFS_ASSIGN_OR_RETURN(options.race.segment_bytes,
                           ParseSize(segment_size, "--segment-size", codec::kMinSegmentBytes, codec::kMaxSegmentBytes));
  return std::optional<CodecOptions>(std::move(options));
}

// The names to race on: those asked for, or all that can be made here.
std::vector<std::string> ChooseInputs(const CodecOptions& options, std::ostream& err) {
  if (!options.inputs.empty()) return options.inputs;
  const bool have_checkpoint = std::filesystem::exists(options.checkpoint);
  if (!have_checkpoint) err << "entro-bench: no " << options.checkpoint << ": inputs made from a real model left out\n";
  std::vector<std::string> names;
  for (const InputKind& kind : InputKinds()) {
    if (!kind.needs_checkpoint || have_checkpoint) names.emplace_back(kind.name);
  }
  return names;
}

Status Run(const CodecOptions& options, std::ostream& out, std::ostream& err) {
  std::vector<Race> races;
  for (const std::string& name : ChooseInputs(options, err)) {
    ENTROFS_ASSIGN_OR_RETURN(Input input, MakeInput(name, options.size_bytes, options.checkpoint));
    ENTROFS_ASSIGN_OR_RETURN(Race race, RunRace(input, options.race));
    if (!options.json) PrintTable(race, out);
    races.push_back(std::move(race));
  }
  if (options.json) PrintJson(races, out);
  return OkStatus();
}

}  // namespace

Status RunCodecCommand(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  ENTROFS_ASSIGN_OR_RETURN(const std::optional<CodecOptions> options, Parse(arguments, out));
  if (!options) return OkStatus();
  const std::string kernels_before(codec::ActiveKernels());
  Status status = Run(*options, out, err);
  (void)codec::SelectKernels(kernels_before);
  return status;
}

}  // namespace entrofs::bench
