#include "bench/cli.h"

#include <cstdio>
#include <string_view>

#include "codec/codec.h"

namespace entrofs::bench {
namespace {

struct Subcommand {
  std::string_view name;
  std::string_view summary;
  Command run;
};

constexpr Subcommand kSubcommands[] = {
    {"codec", "decoders and encoders on ten kinds of weights, beside memcpy, zstd, Huffman and rANS", RunCodecCommand},
    {"mount", "a model read through entrofs, squashfs and plain files, cold and warm", RunMountCommand},
    {"load", "a model loaded from slow storage, plain and packed", RunLoadCommand},
};

void PrintHelp(std::ostream& out) {
  out << "Usage: entro-bench SUBCOMMAND [OPTIONS]\n\nMeasures entrofs on this machine.\n\nSubcommands:\n";
  for (const Subcommand& subcommand : kSubcommands) {
    out << "  " << subcommand.name << std::string(10 - subcommand.name.size(), ' ') << subcommand.summary << "\n";
  }
  out << "\n`entro-bench SUBCOMMAND --help` says what is measured and how.\n";
}

}  // namespace

int RunBench(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help") {
    PrintHelp(arguments.empty() ? err : out);
    return arguments.empty() ? 2 : 0;
  }
  if (Status kernels = codec::CheckKernelsVariable(); !kernels) {
    err << "entro-bench: " << kernels.error().message << "\n";
    return 2;
  }
  for (const Subcommand& subcommand : kSubcommands) {
    if (arguments[0] != subcommand.name) continue;
    const Status status = subcommand.run({arguments.begin() + 1, arguments.end()}, out, err);
    if (status) return 0;
    err << "entro-bench " << subcommand.name << ": " << status.error().message << "\n";
    return status.error().code == ErrorCode::kInvalidArgument ? 2 : 1;
  }
  err << "entro-bench: unknown subcommand '" << arguments[0] << "'; entro-bench --help lists them\n";
  return 2;
}

}  // namespace entrofs::bench
