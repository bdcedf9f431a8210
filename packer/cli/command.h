#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "packer/cli/cli.h"
#include "packer/read/progress.h"

// What the subcommands share.
namespace entrofs::packer::cli {

inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

// One entry of the table of subcommands. `args` are those after the command's name.
struct Command {
  const char* name;
  const char* summary;
  int (*run)(const std::vector<std::string>& args, const Streams& streams);
};

int RunAnalyze(const std::vector<std::string>& args, const Streams& streams);
int RunCreate(const std::vector<std::string>& args, const Streams& streams);
int RunInspect(const std::vector<std::string>& args, const Streams& streams);
int RunList(const std::vector<std::string>& args, const Streams& streams);
int RunVerify(const std::vector<std::string>& args, const Streams& streams);
int RunExtract(const std::vector<std::string>& args, const Streams& streams);
int RunSign(const std::vector<std::string>& args, const Streams& streams);
int RunVerifySignature(const std::vector<std::string>& args, const Streams& streams);

// Writes `text` to a file that appears when it is complete.
Status WriteTextFile(const std::string& path, const std::string& text);

// Prints "entro-pack: warning: ..." for each.
void PrintWarnings(const Streams& streams, const std::vector<std::string>& warnings);

// Fills the variables that `app` was told of. Returns the exit code where the program is done: 0 after --help, 2 after
// telling what is wrong.
std::optional<int> ParseArguments(CLI::App& app, const std::vector<std::string>& args, const Streams& streams);

// Prints "entro-pack: <message>" and returns the exit code for it: kUsage for kInvalidArgument, else kFailed.
int Fail(const Streams& streams, const Error& error);

// Adds --threads. Zero means: as many as there are CPUs.
void AddThreadsOption(CLI::App& app, size_t& threads);
size_t ThreadCount(size_t threads);

// A bar on a terminal, nothing elsewhere.
std::unique_ptr<read::Progress> MakeProgress(const Streams& streams);

}  // namespace entrofs::packer::cli
